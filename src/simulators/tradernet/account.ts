/** Made up: the only customer of this venue. */
export const ACCOUNT = {
  login: 'desk@example.test',
  password: 'SIMULATOR-PASSWORD',
  userId: 2_000_000_001,
} as const;

/** Made up: the customer's API key. */
export const API_KEY = { publicKey: 'SIMULATOR-PUBLIC-KEY', secretKey: 'SIMULATOR-SECRET-KEY' } as const;

/** Made up: the code that the venue sends to the customer's phone, the same every time. */
export const PHONE_CODE = '246810';

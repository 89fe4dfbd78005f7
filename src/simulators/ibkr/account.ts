/** Made up: the only customer of this gateway, with a paper account. */
export const ACCOUNT = {
  username: 'SIMULATOR-USER',
  liveUsername: 'SIMULATOR-LIVE',
  userId: 200_000_001,
  accountId: 'DU0000001',
  ip: '192.0.2.10',
} as const;

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Where the test certificate lies, and what is in it. */
export const CERT_PATH = fileURLToPath(new URL('./localhost.cert.pem', import.meta.url));
export const CERT = readFileSync(CERT_PATH, 'utf8');
export const KEY = readFileSync(fileURLToPath(new URL('./localhost.key.pem', import.meta.url)), 'utf8');
export const FINGERPRINT = new X509Certificate(CERT).fingerprint256;

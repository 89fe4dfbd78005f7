import { X509Certificate } from 'node:crypto';

/**
 * The certificate of this simulator, signed by itself as a gateway's is, for `localhost`, `127.0.0.1` and `::1`, valid
 * from 2020 to 2120, and its key. Everybody has this key: it is no secret, and nothing but simulators may use it. Made with
 * `openssl ca -selfsign`, an EC key on prime256v1, `basicConstraints=critical,CA:TRUE`.
 */
export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIBATAKBggqhkjOPQQDAjAiMSAwHgYDVQQDDBdzZXNzaW9u
LXJlbGF5IHNpbXVsYXRvcjAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAw
MFowIjEgMB4GA1UEAwwXc2Vzc2lvbi1yZWxheSBzaW11bGF0b3IwWTATBgcqhkjO
PQIBBggqhkjOPQMBBwNCAAS74IctzU/dyyb4ssh0Jr9PmLsTiaLwJxosUVkbE4SZ
9q9iN/qmofkePPODGZ8O6qJa5nBWqbC8tInNXtp7NspGo2AwXjAPBgNVHRMBAf8E
BTADAQH/MCwGA1UdEQQlMCOCCWxvY2FsaG9zdIcEfwAAAYcQAAAAAAAAAAAAAAAA
AAAAATAdBgNVHQ4EFgQUwYKBVmZPWCsik6/Rr2syX/PCubowCgYIKoZIzj0EAwID
SAAwRQIhAIdPdJD8LWvZVbdWfCHV4VgBSYlSJjzVCjUrOL3BYT++AiBdGnZ74hhY
8FcIVugpC2bLjqtAXsPaUI+jBSXZxhKfUQ==
-----END CERTIFICATE-----
`;

export const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgC/nU/4Dx65aSzlpC
WoysqweqDf9jnXz27NPrIj7BtwmhRANCAAS74IctzU/dyyb4ssh0Jr9PmLsTiaLw
JxosUVkbE4SZ9q9iN/qmofkePPODGZ8O6qJa5nBWqbC8tInNXtp7NspG
-----END PRIVATE KEY-----
`;

/** SHA-256 of the certificate, hex with colons: what a source pins. */
export const FINGERPRINT = new X509Certificate(CERTIFICATE).fingerprint256;

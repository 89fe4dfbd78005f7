import type { JsonObject } from '../../model/json.js';

/** A request that the venue refuses, with HTTP 200. Two shapes are documented: what is wrong with the request, and with who asks. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  readonly body: JsonObject;

  constructor(field: 'errMsg' | 'error', message: string, code: number) {
    super(message);
    this.code = code;
    this.body = { [field]: message, code };
  }
}

/** Codes by the table of 2014; the first three with the words of the vendor's pages (getSidInfo, getSecuritySessions). */
export const refusals = {
  badJson: () => new Refusal('errMsg', 'Bad json', 2),
  unsupported: () => new Refusal('errMsg', 'Unsupported query method', 2),
  unknownUser: () => new Refusal('error', 'User is not found', 7),
  badSignature: () => new Refusal('error', 'Bad signature', 4),
  badParams: (name: string) => new Refusal('errMsg', `Bad params: ${name}`, 5),
  /** The words are the vendor's, for a key of another of its domains; the code is the table's "access denied". */
  badKey: () => new Refusal('error', 'Invalid api key provided', 12),
  /** Neither words nor code are documented, only that `error` comes with HTTP 200. */
  badLogin: () => new Refusal('error', 'Invalid login or password', 12),
  accessDenied: () => new Refusal('error', 'Access denied', 12),
  badCode: () => new Refusal('error', 'Bad code', 14),
} as const;

import { REDACTED } from '../model/grant.js';

/** Cuts known credentials out of texts that others have written: reasons of closes, errors, frames that were not understood. */
export interface Secrets {
  add(...secrets: readonly string[]): void;
  hide(text: string): string;
}

/** A shorter secret would blank out ordinary words. */
const MIN_SECRET_CHARACTERS = 4;
/** Tokens of one run that are remembered, the newest: a login brings up to three. */
const MAX_ADDED = 24;

/** `configured` are remembered for good. Each is found as it is, and as a URL or a form carries it. */
export function createSecrets(configured: readonly string[]): Secrets {
  let added: readonly string[] = [];
  return {
    add(...secrets) {
      added = [...new Set([...secrets, ...added])].slice(0, MAX_ADDED);
    },
    hide(text) {
      const forms = [...configured, ...added]
        .filter((secret) => secret.length >= MIN_SECRET_CHARACTERS)
        .flatMap((secret) => [secret, encodeURIComponent(secret), encodeURIComponent(secret).replaceAll('%20', '+')]);
      const longestFirst = [...new Set(forms)].toSorted((a, b) => b.length - a.length);
      return longestFirst.reduce((shown, form) => shown.replaceAll(form, REDACTED), text);
    },
  };
}

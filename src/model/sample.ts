import { REDACTED, withoutAddresses, withoutTokens } from './redact.js';

/** Longest sample of something that was not understood. */
export const MAX_SAMPLE_CHARACTERS = 256;
/** So much of a text is looked at: masks shorten what comes before the cut. */
const MAX_READ_CHARACTERS = 4_096;

const NAMED =
  /((?:token|secret|secret_?key|consumer_?key|private_?key|api_?key|key_?current|password|passwd|(?<![a-z])sid|sidbeta|session|session_?id|signature|(?<![a-z])sig|authorization|cookie|login|e-?mail|user|user_?id|user_?name|phone|account|account_?(?:id|number)|(?<![a-z])ip|ip_?client|address)"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|\{[^}]*\}?|\[[^\]]*\]?|(?:(?:Bearer|Basic)\s+)?[^\s,;&}\]]+)/gi;
const E_MAIL = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*/g;
const IP_ADDRESS = /\b\d{1,3}(?:\.\d{1,3}){3}\b/g;
const LONG_RUN = /[A-Za-z0-9_+/=-]{24,}(?:\.[A-Za-z0-9_+/=-]+)*/g;

/** From the end: an expression would look for the run from each of its characters anew. */
function withoutLastRun(text: string): string {
  let end = text.length;
  while (end > 0 && /[\w+/=.@-]/.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Tokens mix digits and cases; the long names that venues give their errors and channels do not. */
function hideToken(run: string): string {
  const isToken = /\d/.test(run) || (/[a-z]/.test(run) && /[A-Z]/.test(run));
  return isToken ? REDACTED : run;
}

/**
 * The beginning of something that was not understood, with what looks personal or secret masked; at most
 * {@link MAX_SAMPLE_CHARACTERS}. It errs on the side of masking.
 */
export function sampleOf(text: string): string {
  const isCut = text.length > MAX_READ_CHARACTERS;
  // The piece of a token that a cut leaves over looks like no token: it goes too.
  const read = isCut ? withoutLastRun(text.slice(0, MAX_READ_CHARACTERS)) : text;
  const named = withoutTokens(read.replace(NAMED, `$1"${REDACTED}"`));
  return withoutAddresses(named.replace(E_MAIL, REDACTED).replace(IP_ADDRESS, REDACTED))
    .replace(LONG_RUN, hideToken)
    .slice(0, MAX_SAMPLE_CHARACTERS);
}

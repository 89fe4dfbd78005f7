import { type CommandOutcome, type CommandReply, type Json, SessionRelayError } from '../client/index.js';

/** What became of a command, as it is shown. */
export interface Outcome {
  readonly kind: 'done' | CommandOutcome;
  /** In words. */
  readonly says: string;
  readonly code?: string;
  readonly result?: Json;
  readonly requestId?: string;
}

export function outcomeOfReply(reply: CommandReply): Outcome {
  const { requestId } = reply;
  if (!('result' in reply)) {
    return { kind: 'done', says: 'Done, before the relay restarted: its result is not held any more.', requestId };
  }
  const again = reply.replayed === true ? ' It had been carried out before: this is the first result.' : '';
  return { kind: 'done', says: `It was carried out.${again}`, result: reply.result, requestId };
}

/** `data.outcome` says what is known of a command that was rejected; where it is absent, nothing is known. */
export function outcomeOfError(thrown: unknown): Outcome {
  if (!(thrown instanceof SessionRelayError)) {
    return { kind: 'unknown', says: `${UNKNOWN} ${thrown instanceof Error ? thrown.message : String(thrown)}` };
  }
  const { code, message, data } = thrown;
  const said = data?.outcome;
  const kind: CommandOutcome = said === 'not_done' || said === 'failed' ? said : 'unknown';
  const rpcCode = data?.rpcCode;
  const requestId = data?.requestId;
  return {
    kind,
    says: `${LEADS[kind]} ${message}`,
    code: typeof rpcCode === 'number' ? `${code} (${rpcCode})` : code,
    ...(typeof requestId === 'string' ? { requestId } : {}),
  };
}

const UNKNOWN = 'Nobody knows whether it was done: look at the state at the venue before you do it again.';
const LEADS: { readonly [O in CommandOutcome]: string } = {
  not_done: 'It was not done.',
  failed: 'The venue refused it.',
  unknown: UNKNOWN,
};

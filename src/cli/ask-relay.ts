import { request } from 'undici';
import { z } from 'zod';
import { messageOf, SessionRelayError } from '../errors.js';

/** How long the relay may take to answer, all in all. */
const ANSWER_MS = 10_000;

const problem = z.object({ title: z.string().optional(), detail: z.string().optional() });

export interface RelayAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** One request to a relay's HTTP side. Rejects with `relay_unreachable` where it cannot be asked, or answers no JSON. */
export async function askRelay(
  origin: string,
  path: string,
  { token, signal }: { readonly token?: string | undefined; readonly signal: AbortSignal },
): Promise<RelayAnswer> {
  try {
    const answer = await request(`${origin}${path}`, {
      headers: {
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    return { status: answer.statusCode, body: await answer.body.json() };
  } catch (cause) {
    throw new SessionRelayError('relay_unreachable', `the relay at ${origin} cannot be asked: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** What an error answer says, in one line. */
export function describeAnswer(answer: RelayAnswer): string {
  const parsed = problem.safeParse(answer.body);
  const text = parsed.success ? (parsed.data.detail ?? parsed.data.title) : undefined;
  return text === undefined ? `status ${answer.status}` : `${text} (status ${answer.status})`;
}

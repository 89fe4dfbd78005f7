import { SessionRelayError, VenueTimeoutError } from '../../src/errors.js';
import type { HttpClient, HttpReply, HttpRequest } from '../../src/net/http.js';

/** What a fake venue does with one request: a JSON answer, a whole reply, a failure, or nothing yet. */
export type FakeAnswer =
  | {
      readonly json: unknown;
      readonly status?: number;
      readonly cookies?: readonly string[];
      readonly headers?: Record<string, string>;
    }
  | { readonly text: string; readonly status?: number }
  | 'unreachable'
  | 'timeout'
  | 'never';

/** An HTTP client without a network: every request is answered by `answer`, and kept. */
export class FakeHttp {
  readonly requests: HttpRequest[] = [];
  closed = false;
  answer: (request: HttpRequest) => FakeAnswer | Promise<FakeAnswer> = () => ({ json: {} });

  readonly client: HttpClient = {
    request: async (request) => {
      this.requests.push(request);
      return replyOf(await this.answer(request));
    },
    close: async () => {
      this.closed = true;
    },
  };
}

async function replyOf(answer: FakeAnswer): Promise<HttpReply> {
  if (answer === 'unreachable') throw new SessionRelayError('source_unavailable', 'the venue cannot be reached');
  if (answer === 'timeout') throw new VenueTimeoutError('no whole answer');
  if (answer === 'never') return new Promise(() => {});
  const { status = 200 } = answer;
  if ('text' in answer) return { status, headers: {}, cookies: [], body: answer.text };
  return { status, headers: answer.headers ?? {}, cookies: answer.cookies ?? [], body: JSON.stringify(answer.json) };
}

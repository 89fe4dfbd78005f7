import { z } from 'zod';
import type { SessionEvent } from '../../src/model/event.js';

/** One block of an event stream. */
export interface Block {
  readonly id?: string;
  readonly event?: string;
  readonly data?: unknown;
  readonly retry?: number;
}

/** A client of Server-Sent Events that takes blocks only as it is asked for them. */
export interface StreamClient {
  readonly status: number;
  readonly headers: Headers;
  readonly blocks: readonly Block[];
  /** Reads on until the condition holds; rejects where the stream ends before. */
  until(condition: (blocks: readonly Block[]) => boolean): Promise<void>;
  /** Reads on until the end. */
  ended(): Promise<void>;
  /** Events of the journal so far. */
  events(): readonly SessionEvent[];
  lastEventId(): string | undefined;
  close(): Promise<void>;
}

const event = z.custom<SessionEvent>(
  (value) => z.looseObject({ id: z.string(), type: z.string() }).safeParse(value).success,
);

export async function openStream(url: string, headers: Readonly<Record<string, string>> = {}): Promise<StreamClient> {
  const gone = new AbortController();
  const answer = await fetch(url, { headers, signal: gone.signal });
  const blocks: Block[] = [];
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  const take = async (): Promise<boolean> => {
    const { done, value } = (await reader?.read()) ?? { done: true };
    if (done || value === undefined) return false;
    text += decoder.decode(value, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      blocks.push(blockOf(text.slice(0, end)));
      text = text.slice(end + 2);
    }
    return true;
  };
  return {
    status: answer.status,
    headers: answer.headers,
    blocks,
    async until(condition) {
      while (!condition(blocks))
        if (!(await take())) throw new Error(`it ended after ${JSON.stringify(blocks.slice(-3))}`);
    },
    async ended() {
      while (await take());
    },
    events: () =>
      blocks.flatMap((block) =>
        block.event === undefined || block.event.startsWith('relay.') ? [] : event.parse(block.data),
      ),
    lastEventId: () => blocks.findLast(({ id }) => id !== undefined)?.id,
    async close() {
      gone.abort();
      await reader?.cancel().catch(() => undefined);
    },
  };
}

function blockOf(text: string): Block {
  const fields = text.split('\n').flatMap((line) => {
    const colon = line.indexOf(': ');
    return colon <= 0 ? [] : [[line.slice(0, colon), line.slice(colon + 2)] as const];
  });
  return Object.fromEntries(
    fields.map(([name, value]) => [
      name,
      name === 'data' ? (JSON.parse(value) as unknown) : name === 'retry' ? Number(value) : value,
    ]),
  );
}

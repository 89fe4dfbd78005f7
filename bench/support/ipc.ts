import { z } from 'zod';

/** What goes over the channel between the bench and a process of it. */
export const ipcRequest = z.object({ id: z.number(), body: z.unknown() });
export const ipcAnswer = z.object({ id: z.number(), body: z.unknown().optional(), error: z.string().optional() });

/** Answers what the parent asks, and ends this process with it. */
export function answerOverIpc<T>(asks: z.ZodType<T>, answer: (asked: T) => Promise<unknown>): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message) => {
    const { id, body } = ipcRequest.parse(message);
    answer(asks.parse(body)).then(
      (said) => process.send?.({ id, body: said }),
      (thrown: unknown) => process.send?.({ id, error: thrown instanceof Error ? thrown.message : String(thrown) }),
    );
  });
}

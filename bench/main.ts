/** `npm run bench -- [NAME]… [--quick]` */
import { parseArgs } from 'node:util';
import { questions } from './questions.js';
import { versionsLine } from './support/machine.js';
import type { Question } from './support/question.js';
import { markdownTable } from './support/table.js';

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
const wanted = chosen(positionals);
say(`${versionsLine()}\n`);
if (values.quick) say('`--quick`: sizes so small that the figures say nothing.\n');
const failed: string[] = [];
for (const question of wanted) await answer(question);
for (const line of failed) process.stderr.write(`bench: ${line}\n`);
process.exit(failed.length === 0 ? 0 : 1);

async function answer({ name, asks, run }: Question): Promise<void> {
  const startedAt = performance.now();
  say(`## ${name}\n\n${asks}\n`);
  try {
    const { head, rows, notes = [] } = await run({ quick: values.quick });
    say(`${markdownTable(head, rows)}\n`);
    for (const note of notes) say(`- ${note}`);
    if (rows.some((row) => row.some((cell) => cell.startsWith('void')))) failed.push(`${name}: a run is void`);
  } catch (thrown) {
    failed.push(`${name}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`);
    say(`It could not be answered: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  say(`\n(${Math.round((performance.now() - startedAt) / 1_000)} s)\n`);
}

function chosen(names: readonly string[]): readonly Question[] {
  const unknown = names.find((name) => questions.every((question) => question.name !== name));
  if (unknown !== undefined) {
    process.stderr.write(`bench: ${unknown}? ${questions.map(({ name }) => name).join(', ')}\n`);
    process.exit(2);
  }
  return names.length === 0 ? questions : questions.filter(({ name }) => names.includes(name));
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

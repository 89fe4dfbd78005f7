import { useState } from 'preact/hooks';
import type { RelayClient, SourceCommands } from '../client/index.js';
import { CommandDialog } from './command-dialog.js';
import { commandWords } from './command-words.js';
import type { Row } from './order.js';

export interface CommandButtonsProps {
  readonly client: RelayClient;
  /** As far as the token allows; `undefined`: the relay has not said it. */
  readonly commands: SourceCommands | undefined;
  readonly row: Row;
  readonly isConnected: boolean;
}

/** The commands of a source that the token allows: those that only read, then those that act. */
export function CommandButtons({ client, commands, row, isConnected }: CommandButtonsProps) {
  const [open, setOpen] = useState<string>();
  if (commands === undefined || commands.commands.length === 0) return null;
  // As commands name it: not encoded, as keys are.
  const owner = `${commands.venue}.${commands.source}`;
  const reading = commands.commands.filter(({ acts }) => !acts);
  const acting = commands.commands.filter(({ acts }) => acts);
  const chosen = commands.commands.find(({ command }) => command === open);
  const buttons = (some: typeof reading, className: string) =>
    some.map(({ command, acts }) => (
      <button key={command} type="button" class={className} onClick={() => setOpen(command)}>
        {commandWords(commands.venue, command, acts).label}…
      </button>
    ));
  return (
    <>
      <h3>Commands of {owner}</h3>
      <fieldset class="commands" aria-label={`Commands of ${owner}`}>
        {buttons(reading, '')}
        {buttons(acting, 'acts')}
      </fieldset>
      {chosen !== undefined && (
        <CommandDialog
          key={chosen.command}
          client={client}
          spec={chosen}
          venue={commands.venue}
          owner={owner}
          row={row}
          isConnected={isConnected}
          onClose={() => setOpen(undefined)}
        />
      )}
    </>
  );
}

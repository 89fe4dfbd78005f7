import { useMemo, useState } from 'preact/hooks';
import type { Json, RelayClient, SourceCommands } from '../client/index.js';
import { commandWords } from './command-words.js';
import { Modal } from './modal.js';
import type { Row } from './order.js';
import { type Outcome, outcomeOfError, outcomeOfReply } from './outcome.js';
import { OutcomeView } from './outcome-view.js';
import { ParamField } from './param-field.js';
import { type Filled, fieldsOf, paramsOf } from './params-form.js';

export interface CommandDialogProps {
  readonly client: RelayClient;
  readonly spec: SourceCommands['commands'][number];
  readonly venue: string;
  /** `<venue>.<source>` */
  readonly owner: string;
  readonly row: Row;
  /** Nothing is sent into the void, to be carried out who knows when. */
  readonly isConnected: boolean;
  readonly onClose: () => void;
}

type Phase =
  | { readonly kind: 'asking' }
  | { readonly kind: 'running' }
  | { readonly kind: 'ended'; readonly outcome: Outcome };

/**
 * Asks before it runs a command: what it does, what it may cost, and, where that is orders or a login, for the name of
 * the source. One dialog is one request: what is asked again is asked under the same id, so nothing is done twice.
 */
export function CommandDialog({ client, spec, venue, owner, row, isConnected, onClose }: CommandDialogProps) {
  const { command, acts } = spec;
  const words = commandWords(venue, command, acts);
  const fields = useMemo(() => fieldsOf(spec.params), [spec]);
  const [values, setValues] = useState<{ readonly [name: string]: string }>({});
  const [typed, setTyped] = useState('');
  const [phase, setPhase] = useState<Phase>({ kind: 'asking' });
  const [requestId, setRequestId] = useState(newRequestId);
  const filled: Filled = paramsOf(fields, values);
  const params = filled.ok ? filled.params : {};
  const mustType = words.typed?.(params) ?? false;
  const isReady = isConnected && (!mustType || typed.trim() === owner);
  const about = aboutSession(spec.params, row);

  const run = (): void => {
    if (!filled.ok || !isReady || phase.kind === 'running') return;
    setPhase({ kind: 'running' });
    const options = { requestId, ...(about === undefined ? {} : { session: about }) };
    client.command(owner, command, filled.params, options).then(
      (reply) => setPhase({ kind: 'ended', outcome: outcomeOfReply(reply) }),
      (thrown: unknown) => setPhase({ kind: 'ended', outcome: outcomeOfError(thrown) }),
    );
  };
  /** After an end that is known the same again would be another command. */
  const change = (name: string, value: string): void => {
    setValues({ ...values, [name]: value });
    if (phase.kind !== 'ended') return;
    setPhase({ kind: 'asking' });
    setTyped('');
    setRequestId(newRequestId());
  };
  const isUnknown = phase.kind === 'ended' && phase.outcome.kind === 'unknown';
  const isOver = phase.kind === 'ended' && !isUnknown;
  return (
    <Modal label={`${words.label}: ${owner}`} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          run();
        }}
      >
        <h2>{words.label}</h2>
        <p class="sub">
          <code>{command}</code> of <strong>{owner}</strong>
          {about === undefined ? '' : `, session ${about}`}
        </p>
        <p>{words.does}</p>
        {words.danger !== undefined && (
          <p class="danger">
            <strong>Danger.</strong> {words.danger(params)}
          </p>
        )}
        {fields.map((field) => (
          <ParamField
            key={field.name}
            field={field}
            value={values[field.name] ?? field.initial}
            disabled={phase.kind === 'running'}
            onInput={(value) => change(field.name, value)}
          />
        ))}
        {!filled.ok && Object.keys(values).length > 0 && <p class="problem">{filled.problem}</p>}
        {mustType && !isOver && (
          <label class="field">
            <span>
              Type <strong>{owner}</strong> to confirm
            </span>
            <input
              type="text"
              autocomplete="off"
              spellcheck={false}
              value={typed}
              disabled={phase.kind === 'running'}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        )}
        {!isConnected && <p class="problem">The relay cannot be heard: nothing can be sent now.</p>}
        <div role="status">
          {phase.kind === 'running' && <p>Asked; waiting for the venue…</p>}
          {phase.kind === 'ended' && <OutcomeView outcome={phase.outcome} />}
        </div>
        <div class="buttons">
          {!isOver && (
            <button
              type="submit"
              class={acts ? 'acts' : 'primary'}
              disabled={!filled.ok || !isReady || phase.kind === 'running'}
            >
              {isUnknown ? 'Ask again with the same id' : acts ? `${words.label} now` : 'Run'}
            </button>
          )}
          <button type="button" autofocus={acts && fields.length === 0 && !mustType} onClick={onClose}>
            {phase.kind === 'asking' ? 'Cancel' : 'Close'}
          </button>
        </div>
      </form>
    </Modal>
  );
}

/** A command that is about one connection is given the session that is looked at. */
function aboutSession(schema: Json, { state }: Row): string | undefined {
  const isAboutOne = fieldsOf(schema).some(({ name }) => name === 'connection');
  return isAboutOne && state.kind !== 'source' ? state.session : undefined;
}

/** `crypto.randomUUID` is not there on pages that came over plain HTTP. */
function newRequestId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

import type { Field } from './params-form.js';

interface ParamFieldProps {
  readonly field: Field;
  readonly value: string;
  readonly disabled: boolean;
  readonly onInput: (value: string) => void;
}

/** One parameter of a command. */
export function ParamField({ field, value, disabled, onInput }: ParamFieldProps) {
  const { name, kind, required, about, options } = field;
  const choices = kind === 'boolean' ? ['true', 'false'] : options;
  const id = `param-${name}`;
  return (
    <div class="field">
      <label for={id}>
        {name}
        {required ? ' (needed)' : ''}
      </label>
      {kind === 'choice' || kind === 'boolean' ? (
        <select id={id} value={value} disabled={disabled} onChange={(event) => onInput(event.currentTarget.value)}>
          {(!required || value === '') && <option value="">not given</option>}
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <TextInput {...{ id, field, value, disabled, onInput }} />
      )}
      {about !== '' && <span class="sub">{about}</span>}
    </div>
  );
}

function TextInput({
  id,
  field: { kind, min, max },
  value,
  disabled,
  onInput,
}: ParamFieldProps & { readonly id: string }) {
  const common = {
    id,
    autocomplete: 'off',
    spellcheck: false,
    value,
    disabled,
    onInput: (event: { readonly currentTarget: HTMLInputElement }) => onInput(event.currentTarget.value),
  } as const;
  if (kind !== 'integer') return <input type="text" {...common} />;
  return (
    <input type="number" {...common} {...(min === undefined ? {} : { min })} {...(max === undefined ? {} : { max })} />
  );
}

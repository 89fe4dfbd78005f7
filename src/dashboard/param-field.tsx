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
  return (
    <label class="field">
      <span>
        {name}
        {required ? ' (needed)' : ''}
      </span>
      {kind === 'choice' || kind === 'boolean' ? (
        <select value={value} disabled={disabled} onChange={(event) => onInput(event.currentTarget.value)}>
          {(!required || value === '') && <option value="">not given</option>}
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      ) : (
        <TextInput {...{ field, value, disabled, onInput }} />
      )}
      {about !== '' && <span class="sub">{about}</span>}
    </label>
  );
}

function TextInput({ field: { kind, min, max }, value, disabled, onInput }: ParamFieldProps) {
  const common = {
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

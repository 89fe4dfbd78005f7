import { JsonView } from './json-view.js';
import type { Outcome } from './outcome.js';

const TITLES: { readonly [K in Outcome['kind']]: string } = {
  done: 'Done',
  not_done: 'Not done',
  failed: 'Failed',
  unknown: 'Outcome unknown',
};
const SIGNS: { readonly [K in Outcome['kind']]: string } = { done: '✓', not_done: '▢', failed: '✕', unknown: '?' };

/** What became of a command: never more than is known. */
export function OutcomeView({ outcome }: { readonly outcome: Outcome }) {
  const { kind, says, code, result, requestId } = outcome;
  return (
    <div class="outcome" data-outcome={kind}>
      <h3>
        <span aria-hidden="true">{SIGNS[kind]} </span>
        {TITLES[kind]}
      </h3>
      <p>{says}</p>
      {code !== undefined && (
        <p class="sub">
          Code <code>{code}</code>
        </p>
      )}
      {result !== undefined && <JsonView label="Result as JSON" value={result} />}
      {requestId !== undefined && (
        <p class="sub">
          Request <code>{requestId}</code>
        </p>
      )}
    </div>
  );
}

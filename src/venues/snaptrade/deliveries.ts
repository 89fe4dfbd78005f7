import { type EventData, timestampOf } from '../../model/event.js';
import { type StatusHook, takeStatusHook, touchConnection } from './mapper.js';
import { present } from './messages.js';
import { type Mapped, noteFault, stepFact } from './source-facts.js';
import type { MapperState } from './state.js';
import type { Delivery } from './webhook.js';

/** What each type of webhook means (SnapTrade docs, webhooks). */
type Meaning =
  | { readonly kind: 'status'; readonly what: StatusHook['what'] }
  /** An attribute that takes the time of the webhook. */
  | { readonly kind: 'attribute'; readonly name: string }
  | { readonly kind: 'step' };

const STEP: Meaning = { kind: 'step' };
const attribute = (name: string): Meaning => ({ kind: 'attribute', name });

const MEANINGS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['CONNECTION_ADDED', { kind: 'status', what: 'added' }],
  ['CONNECTION_DELETED', { kind: 'status', what: 'deleted' }],
  ['CONNECTION_BROKEN', { kind: 'status', what: 'broken' }],
  ['CONNECTION_FIXED', { kind: 'status', what: 'fixed' }],
  ['CONNECTION_UPDATED', attribute('connectionUpdatedAt')],
  ['NEW_ACCOUNT_AVAILABLE', attribute('accountsChangedAt')],
  ['ACCOUNT_REMOVED', attribute('accountsChangedAt')],
  ['ACCOUNT_HOLDINGS_UPDATED', attribute('holdingsUpdatedAt')],
  ['ACCOUNT_TRANSACTIONS_INITIAL_UPDATE', attribute('transactionsUpdatedAt')],
  ['ACCOUNT_TRANSACTIONS_UPDATED', attribute('transactionsUpdatedAt')],
  ['CONNECTION_ATTEMPTED', STEP],
  ['CONNECTION_FAILED', STEP],
  ['USER_REGISTERED', STEP],
  ['USER_DELETED', STEP],
  ['TRADE_DETECTION', STEP],
  ['TRADE_UPDATE', STEP],
]);

/** Types after which the connections are listed: what a webhook says is soon confirmed, or completed. */
export function asksForList({ type }: Delivery): boolean {
  return type.startsWith('CONNECTION_') || type.startsWith('USER_') || !MEANINGS.has(type);
}

/** Takes in one webhook. What it says of a connection that no list has shown is told as a step. Never throws. */
export function mapDelivery(state: MapperState, delivery: Delivery): Mapped {
  const { type, connection, atMs } = delivery;
  const meaning = MEANINGS.get(type);
  if (meaning === undefined) {
    const [after, faults] = noteFault(state, `webhook ${type}`, 'unknown_value', `webhook ${type}`);
    return [after, [...faults, stepOf(after, delivery)]];
  }
  if (connection === undefined || meaning.kind === 'step') return [state, [stepOf(state, delivery)]];
  const known = state.rows.get(connection);
  if (meaning.kind === 'attribute') {
    const mapped = touchConnection(state, connection, meaning.name, atMs, keyOf(delivery));
    return mapped[1].length > 0 ? mapped : [state, [stepOf(state, delivery)]];
  }
  const isShown = known !== undefined && known.status !== 'opening';
  const isKnown = meaning.what === 'added' || (meaning.what === 'deleted' ? known !== undefined : isShown);
  if (!isKnown) return [state, [stepOf(state, delivery)]];
  return takeStatusHook(state, { what: meaning.what, connection, atMs });
}

function stepOf(state: MapperState, delivery: Delivery) {
  const { type, connection, atMs, result } = delivery;
  const data: EventData<'session.step'> = present({
    step: type,
    venueTime: timestampOf(atMs),
    connection,
    reason: result,
  });
  // Of the connection where there is one to speak of: a token that nobody knows would belong to nothing.
  return stepFact(
    state,
    connection !== undefined && state.rows.has(connection) ? connection : undefined,
    data,
    keyOf(delivery),
  );
}

function keyOf({ id }: Delivery): string {
  return `hook:${id}`;
}

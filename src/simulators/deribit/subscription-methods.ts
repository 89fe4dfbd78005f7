import { z } from 'zod';
import type { Json } from '../../model/json.js';
import { shuffled } from '../draw.js';
import { type Call, grantOf, type Method, socketOf } from './call.js';
import { type Channel, channelOf } from './channels.js';
import type { Connection, Subscription } from './connection.js';
import type { Exchange } from './exchange.js';
import { covers } from './scopes.js';
import type { Grant } from './tokens.js';
import { paramsOf, Refusal } from './wire.js';

/** Deribit support pages: channels per call. */
const MAX_CHANNELS = 500;
/** Deribit docs, private/subscribe. */
const MAX_LABEL_CHARACTERS = 16;

const channelsParams = z.object({ channels: z.array(z.string()).min(1).max(MAX_CHANNELS) });
const labelParams = z.object({ label: z.string().max(MAX_LABEL_CHARACTERS).optional() });

export const subscriptionMethods: { readonly [name: string]: Method } = {
  'public/subscribe': subscriptions((call) => subscribe(call, undefined)),
  'private/subscribe': subscriptions((call) => {
    socketOf(call);
    return subscribe(call, grantOf(call));
  }),
  'public/unsubscribe': subscriptions((call) => unsubscribe(call)),
  'private/unsubscribe': subscriptions((call) => {
    socketOf(call);
    grantOf(call);
    return unsubscribe(call);
  }),
  'public/unsubscribe_all': subscriptions((call) => unsubscribeAll(socketOf(call), false)),
  'private/unsubscribe_all': subscriptions((call) => {
    const connection = socketOf(call);
    grantOf(call);
    return unsubscribeAll(connection, true);
  }),
};

function subscriptions(run: (call: Call) => Json): Method {
  return { pool: 'subscriptions', run: (_params, call) => run(call) };
}

/**
 * Confirms the channels that there are, in any order; the others are left out without an error (recorded frame). A
 * channel that was subscribed before is confirmed, and tells nothing again (recorded).
 */
function subscribe(call: Call, grant: Grant | undefined): Json {
  const { exchange, params, after } = call;
  const connection = socketOf(call);
  const { channels } = paramsOf(channelsParams, params);
  const { label } = paramsOf(labelParams, params);
  const confirmed: string[] = [];
  for (const name of new Set(channels)) {
    const channel = channelOf(name, exchange.platform.indices);
    if (channel?.kind === 'raw' && grant === undefined && connection.grant === undefined) {
      throw new Refusal('raw_subscriptions_not_available_for_unauthorized');
    }
    if (channel === undefined || !mayHear(channel, grant) || leftOut(exchange, name)) continue;
    confirmed.push(name);
    const isPrivate = channel.kind === 'user' || channel.kind === 'orders';
    const subscription: Subscription = {
      ...(isPrivate && grant !== undefined ? { account: grant.account } : {}),
      ...(label === undefined ? {} : { label }),
    };
    if (connection.subscribe(name, subscription)) after(() => tellPresent(exchange, connection, name, channel));
  }
  return shuffled(connection.random, confirmed);
}

function mayHear(channel: Channel, grant: Grant | undefined): boolean {
  if (channel.kind !== 'user' && channel.kind !== 'orders') return true;
  return grant !== undefined && covers(grant.scopes, channel.scope);
}

/** Whether the fault `missing_channel` takes this one: by its name, or as the next that comes. */
function leftOut({ conditions: { missingChannels } }: Exchange, name: string): boolean {
  const found = missingChannels.findIndex((wanted) => wanted === undefined || wanted === name);
  if (found < 0) return false;
  missingChannels.splice(found, 1);
  return true;
}

/** What a channel says at first. */
function tellPresent({ platform }: Exchange, connection: Connection, name: string, channel: Channel): void {
  if (channel.kind === 'platform_state') for (const frame of platform.snapshot()) connection.notify(name, frame);
  if (channel.kind === 'public_methods') {
    connection.notify(name, { allow_unauthenticated_public_requests: platform.publicMethods });
  }
}

function unsubscribe(call: Call): Json {
  const connection = socketOf(call);
  const { channels } = paramsOf(channelsParams, call.params);
  return shuffled(
    connection.random,
    [...new Set(channels)].filter((name) => connection.unsubscribe(name)),
  );
}

/** Each of the two ends its own kind: the public one public channels, the private one private channels. */
function unsubscribeAll(connection: Connection, isPrivate: boolean): Json {
  for (const [name, { account }] of [...connection.subscriptions]) {
    if ((account !== undefined) === isPrivate) connection.unsubscribe(name);
  }
  return 'ok';
}

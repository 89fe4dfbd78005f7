import type { Json } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import { type Account, type Accounts, type Credits, createAccounts, createCredits } from './accounts.js';
import { channelOf } from './channels.js';
import { type Conditions, createConditions } from './conditions.js';
import type { Connection } from './connection.js';
import { createLogin, type Login } from './login.js';
import { createOrders, type Order, type Orders } from './orders.js';
import { createPlatform, type Platform } from './platform.js';
import { createTokens, type Tokens, type VenueSession } from './tokens.js';
import { createTraffic, type Traffic } from './traffic.js';
import type { Stamp } from './wire.js';

/** Everything of the venue that is not one connection. */
export interface Exchange {
  readonly clock: Clock;
  readonly random: Random;
  /** The venue's own wall clock, in ms. */
  now(): number;
  /** The venue's times of a request that comes in now. */
  stamp(): Stamp;
  readonly conditions: Conditions;
  readonly accounts: Accounts;
  readonly login: Login;
  readonly tokens: Tokens;
  readonly orders: Orders;
  readonly platform: Platform;
  readonly traffic: Traffic;
  /** Live connections by number; numbers count from 1. */
  readonly connections: Map<number, Connection>;
  /** Who pays for what is asked without authentication from an address. */
  creditsOf(address: string): Credits;
  /** Tells every subscriber of a public channel. */
  publish(channel: string, data: Json): void;
  /** Tells the subscribers of a private channel that belong to the account. */
  publishTo(account: Account, channel: string, data: Json): void;
}

/** `usDiff` of the recorded frames. */
const LATENCY_US = { least: 25, most: 600 } as const;

export function createExchange(clock: Clock, random: Random): Exchange {
  const connections = new Map<number, Connection>();
  const conditions = createConditions(clock);
  const now = (): number => Math.floor(clock.now() + conditions.skewMs);
  const subscribers = (channel: string, account?: Account): Connection[] =>
    [...connections.values()].filter((connection) => {
      const subscription = connection.subscriptions.get(channel);
      return subscription !== undefined && (account === undefined || subscription.account === account);
    });
  const publish = (channel: string, data: Json, account?: Account): void => {
    for (const connection of subscribers(channel, account)) connection.notify(channel, data);
  };
  const platform = createPlatform({ clock, random, now, publish: (channel, data) => publish(channel, data) });
  const orderChanged = (order: Order): void => {
    for (const connection of [...connections.values()]) {
      for (const [name, { account }] of connection.subscriptions) {
        const channel = channelOf(name, platform.indices);
        if (channel?.kind === 'orders' && account === order.account && channel.wants(order)) {
          connection.notify(name, channel.render(order));
        }
      }
    }
  };
  const evicted = (session: VenueSession): void => {
    for (const connection of [...connections.values()]) {
      if (connection.grant?.session === session) connection.sessionEvicted(conditions.evictedSockets);
    }
  };
  const byAddress = new Map<string, Credits>();

  return {
    clock,
    random,
    now,
    stamp() {
      const usIn = now() * 1_000 + Math.floor(random() * 1_000);
      return { usIn, usOut: usIn + LATENCY_US.least + Math.floor(random() * (LATENCY_US.most - LATENCY_US.least)) };
    },
    conditions,
    accounts: createAccounts(clock),
    login: createLogin(now),
    tokens: createTokens({ now, random, evicted }),
    orders: createOrders({ now, random, changed: orderChanged }),
    platform,
    traffic: createTraffic(),
    connections,
    creditsOf(address) {
      const known = byAddress.get(address);
      if (known !== undefined) return known;
      const credits = createCredits(clock);
      byAddress.set(address, credits);
      return credits;
    },
    publish: (channel, data) => publish(channel, data),
    publishTo: (account, channel, data) => publish(channel, data, account),
  };
}

import type { Json } from '../client/index.js';

/** What a command does to a desk, for whoever is about to run it. */
export interface CommandWords {
  readonly label: string;
  /** What it does. */
  readonly does: string;
  /** What may be lost by it, for these parameters; `undefined`: it only reads. */
  readonly danger?: (params: Params) => string;
  /** Whether the source's name has to be typed: it may cost orders, money, or a person's way to a login. */
  readonly typed?: (params: Params) => boolean;
}

type Params = { readonly [name: string]: Json };

const always = (): boolean => true;
const wide = ({ scope }: Params): boolean => scope === 'account';

/** By `<venue>.<command>`. */
const COMMANDS: { readonly [name: string]: CommandWords } = {
  'deribit.set_heartbeat': {
    label: 'Set heartbeat',
    does: 'Sets how often the venue asks whether this connection lives, now and after each reconnect.',
    danger: () =>
      'A longer interval means that a dead connection is noticed later, and cancel-on-disconnect acts later: resting orders stay exposed for that time.',
  },
  'deribit.disable_heartbeat': {
    label: 'Disable heartbeat',
    does: 'Switches the heartbeat of this connection off.',
    danger: () =>
      'Without a heartbeat a dead connection is noticed only after minutes. Until then cancel-on-disconnect does not act, and resting orders can be filled while nobody is there.',
    typed: always,
  },
  'deribit.enable_cancel_on_disconnect': {
    label: 'Enable cancel-on-disconnect',
    does: 'Has the venue cancel the orders of this connection when it ends without a logout.',
    danger: (params) =>
      wide(params)
        ? 'Account scope: every other connection of this customer begins with it, too. Any of them that drops for a moment loses its resting orders.'
        : 'From now on a short outage of this connection cancels its resting orders, hedges and stops among them.',
    typed: wide,
  },
  'deribit.disable_cancel_on_disconnect': {
    label: 'Disable cancel-on-disconnect',
    does: 'Has the venue keep orders when the connection ends.',
    danger: (params) =>
      `${wide(params) ? 'Account scope: the other connections of this customer lose the protection, too. ' : ''}When the connection dies, resting orders STAY in the book and can be filled while nobody can cancel them.`,
    typed: always,
  },
  'deribit.get_cancel_on_disconnect': {
    label: 'Read cancel-on-disconnect',
    does: 'Reads the protection of both scopes back from the venue now.',
  },
  'deribit.reauthenticate': {
    label: 'Reauthenticate',
    does: 'Logs in anew in full, on the present connection.',
    danger: () =>
      'While the login is replaced the session is not confirmed. Where the venue refuses it, the session stays lost until somebody acts.',
  },
  'deribit.reconnect': {
    label: 'Reconnect',
    does: 'Ends the connection and opens another.',
    danger: ({ orders }) =>
      orders === 'leave'
        ? 'Logs out first: resting orders STAY in the book, and nothing protects them until the new connection stands.'
        : orders === 'cancel'
          ? 'The connection is closed without a logout: where cancel-on-disconnect is armed, the venue CANCELS every resting order of this connection, hedges and stops among them.'
          : 'A protected connection is refused this without a choice: `leave` keeps the orders without protection, `cancel` loses them.',
    typed: always,
  },
  'deribit.logout': {
    label: 'Log out',
    does: 'Logs out; nothing logs in again until it is asked for.',
    danger: ({ invalidateToken }) =>
      `Resting orders STAY in the book, and nothing protects them. The relay does not log in again by itself.${invalidateToken === false ? '' : ' The named session ends wherever else it is used, too.'}`,
    typed: always,
  },
  'tradernet.refresh_sessions': {
    label: 'Refresh sessions',
    does: 'Reads the list of security sessions now and compares it with what is known.',
  },
  'tradernet.sid_info': { label: 'Check login', does: 'Asks the venue whether it knows the login.' },
  'tradernet.login': {
    label: 'Log in',
    does: 'Logs in anew and connects with the new login.',
    danger: () =>
      'The login in use is given up. The venue allows about five logins a minute: one too many locks everybody of this account out for a while.',
  },
  'tradernet.reconnect': {
    label: 'Reconnect',
    does: 'Ends the socket and opens another; starts a source again that waits for a person.',
    danger: () => 'Until the new socket stands the relay sees nothing of this source.',
  },
  'ibkr.init': {
    label: 'Open brokerage session',
    does: 'Opens the brokerage session at the gateway.',
    danger: ({ compete }) =>
      compete === true
        ? 'Takes the session from whatever other login of this user has it, and ENDS that one: a colleague in TWS or on the phone is thrown out in the middle of what they do.'
        : 'It is refused where another login has the session; it takes nothing from anybody.',
    typed: ({ compete }) => compete === true,
  },
  'ibkr.reauthenticate': {
    label: 'Reauthenticate',
    does: 'Triggers a new login to the brokerage system.',
    danger: () => 'Orders cannot be placed until the bridge is back, which takes from seconds to minutes.',
  },
  'ibkr.logout': {
    label: 'Log out',
    does: 'Logs out of the gateway: both sessions end.',
    danger: () =>
      'A PERSON has to log in again, with the second factor, at the gateway. Until then nothing can be traded or cancelled here; resting orders stay.',
    typed: always,
  },
  'ibkr.auth_status': { label: 'Read status', does: 'Reads the status of the brokerage session.' },
  'ibkr.validate_sso': {
    label: 'Validate login',
    does: 'Asks whether the login at the gateway is valid; once a minute at most.',
  },
  'ibkr.tickle': { label: 'Tickle', does: 'Pings the gateway, which keeps the sessions alive.' },
  'snaptrade.list_connections': {
    label: 'List connections',
    does: 'Lists the connections now and compares them with what is known.',
  },
  'snaptrade.get_connection': {
    label: 'Read connection',
    does: 'Reads one connection now and compares it with what is known.',
  },
  'snaptrade.refresh_connection': {
    label: 'Refresh connection',
    does: 'Makes the venue fetch the holdings anew.',
    danger: () => 'Each refresh costs money, and plans with real-time data refuse it.',
  },
  'snaptrade.disable_connection': {
    label: 'Disable connection',
    does: 'Breaks a connection on purpose, to test how it is linked again.',
    danger: () => 'The customer has to log in at the broker anew before anything of this connection works.',
    typed: always,
  },
  'snaptrade.remove_connection': {
    label: 'Remove connection',
    does: 'Removes a connection with its accounts.',
    danger: () => 'It is gone FOR GOOD, with its accounts: the customer has to link it anew, and history is lost.',
    typed: always,
  },
  'snaptrade.session_events': {
    label: 'Read portal events',
    does: 'Reads the events of connection portals now.',
  },
};

/** The words of a command. One that this version does not know, and that acts, is treated as dangerous. */
export function commandWords(venue: string, command: string, acts: boolean): CommandWords {
  const known = COMMANDS[`${venue}.${command}`];
  const label = known?.label ?? command.replaceAll('_', ' ');
  const does = known?.does ?? `Runs ${command} at ${venue}.`;
  if (!acts) return { label, does };
  return {
    label,
    does,
    danger: known?.danger ?? (() => 'It changes something at the venue, and this page does not know what it may cost.'),
    typed: known === undefined ? always : (known.typed ?? (() => false)),
  };
}

/** Whether this version has words of its own for a command. */
export function isKnownCommand(venue: string, command: string): boolean {
  return Object.hasOwn(COMMANDS, `${venue}.${command}`);
}

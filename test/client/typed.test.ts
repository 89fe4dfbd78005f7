import type { Observable } from 'rxjs';
import type * as undici from 'undici';
import { expectTypeOf, test } from 'vitest';
import type * as ws from 'ws';
import type { CommandReply as HubReply } from '../../src/bus/bus.js';
import type {
  CommandReply,
  EventOn,
  EventType,
  EventTypeOn,
  RelayClient,
  SessionEvent,
  SocketClass,
} from '../../src/client/index.js';

/** Checked by `tsc`, in `npm run types`. */
test('the events of a channel are typed by its text', () => {
  type Protection = 'protection.armed' | 'protection.disarmed' | 'protection.unknown' | 'protection.triggered';
  expectTypeOf<EventTypeOn<'*.*.*.protection.*'>>().toEqualTypeOf<Protection>();
  expectTypeOf<EventTypeOn<'deribit.main.*.protection.>'>>().toEqualTypeOf<Protection>();
  expectTypeOf<EventTypeOn<'deribit.main.relay.safety.changed'>>().toEqualTypeOf<'safety.changed'>();
  expectTypeOf<EventTypeOn<'*.*.*.*.locked'>>().toEqualTypeOf<'venue.locked' | 'account.locked'>();
  expectTypeOf<EventTypeOn<'>'>>().toEqualTypeOf<EventType>();
  expectTypeOf<EventTypeOn<'deribit.>'>>().toEqualTypeOf<EventType>();
  expectTypeOf<EventTypeOn<'deribit.main.>'>>().toEqualTypeOf<EventType>();
  expectTypeOf<EventTypeOn<'deribit.main.relay.>'>>().toEqualTypeOf<EventType>();
  expectTypeOf<EventTypeOn<string>>().toEqualTypeOf<EventType>();
  expectTypeOf<EventTypeOn<`deribit.${string}.relay.safety.changed`>>().toEqualTypeOf<'safety.changed'>();
  expectTypeOf<EventTypeOn<'a.>' | '*.*.*.safety.*'>>().toEqualTypeOf<EventType>();
  expectTypeOf<EventTypeOn<'*.*.*.safety.*' | '*.*.*.access.*'>>().toEqualTypeOf<'safety.changed' | 'access.logged'>();
});

test('what is no pattern, or names no type that there is, gives none', () => {
  expectTypeOf<EventTypeOn<'deribit'>>().toEqualTypeOf<never>();
  expectTypeOf<EventTypeOn<'deribit.main.relay'>>().toEqualTypeOf<never>();
  expectTypeOf<EventTypeOn<'*.*.*.safety.improved'>>().toEqualTypeOf<never>();
});

test('`events$` infers it from a literal, and narrows by `type`', () => {
  const typed = (client: RelayClient, channel: string) => {
    expectTypeOf(client.events$('*.*.*.protection.*')).toEqualTypeOf<
      Observable<
        SessionEvent<'protection.armed' | 'protection.disarmed' | 'protection.unknown' | 'protection.triggered'>
      >
    >();
    expectTypeOf(client.events$('deribit.main.relay.safety.changed')).toEqualTypeOf<
      Observable<SessionEvent<'safety.changed'>>
    >();
    expectTypeOf(client.events$('>')).toEqualTypeOf<Observable<SessionEvent>>();
    expectTypeOf(client.events$(channel)).toEqualTypeOf<Observable<SessionEvent>>();
    expectTypeOf(client.events('*.*.*.safety.*')).toEqualTypeOf<AsyncIterable<SessionEvent<'safety.changed'>>>();
    client.events$('*.*.*.protection.*').subscribe((event) => {
      if (event.type === 'protection.triggered') expectTypeOf(event.data.certain).toEqualTypeOf<false>();
      else expectTypeOf(event.data.readAt).toEqualTypeOf<string>();
    });
  };
  expectTypeOf(typed).toBeFunction();
  expectTypeOf<EventOn<'*.*.*.session.removed'>>().toEqualTypeOf<SessionEvent<'session.removed'>>();
});

test('the sockets of browsers, of Node and of `ws` fit the port', () => {
  expectTypeOf<typeof ws.WebSocket>().toExtend<SocketClass>();
  expectTypeOf<typeof undici.WebSocket>().toExtend<SocketClass>();
});

test('a reply is one that the library gives too', () => {
  expectTypeOf<CommandReply>().toExtend<HubReply>();
});

import type { Peer } from '../bus/peer.js';
import type { Place, Places } from '../edge/places.js';
import type { MainMethods } from './messages.js';

/** Places that the main thread counts, for all threads together. */
export function remotePlaces(main: Pick<Peer<MainMethods>, 'call' | 'post'>): Places {
  let lastId = 0;
  return {
    async take(address, who) {
      const id = ++lastId;
      let given = false;
      const give = (): void => {
        if (given) return;
        given = true;
        main.post('give', id);
      };
      try {
        const full = await main.call('place', { id, address, ...(who === undefined ? {} : { who }) });
        if (full !== null) return full;
      } catch (thrown) {
        // It may have been counted, and only the answer was too late.
        give();
        throw thrown;
      }
      const place: Place = {
        identify: (next) => (given ? true : main.call('identify', { id, who: next })),
        give,
      };
      return place;
    },
  };
}

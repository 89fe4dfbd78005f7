import { deribitModule } from './deribit/index.js';
import { ibkrModule } from './ibkr/index.js';
import { snaptradeModule } from './snaptrade/index.js';
import { tradernetModule } from './tradernet/index.js';
import type { VenueModule } from './venue.js';

/** Every venue that a configuration may name. Adding a venue is its folder and one line here. */
export const venueModules: readonly VenueModule[] = [deribitModule, tradernetModule, ibkrModule, snaptradeModule];

import type { JsonObject } from '../../model/json.js';
import type { Clock, Random } from '../../net/clock.js';
import { createSwitch, type Switch } from '../timers.js';
import { drawUuid } from './ids.js';

/** A brokerage that the vendor connects to; made up, but for `SANDBOX`, which is the vendor's own for tests. */
export interface Brokerage {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly allowsTrading: boolean;
  readonly maintenance: Switch;
  readonly degraded: Switch;
}

const CATALOGUE: readonly Pick<Brokerage, 'slug' | 'name' | 'allowsTrading'>[] = [
  { slug: 'EXAMPLE-DIRECT', name: 'Example Direct', allowsTrading: true },
  { slug: 'EXAMPLE-BOERSE', name: 'Beispiel-Börse', allowsTrading: true },
  { slug: 'EXAMPLE-PENSIONS', name: 'Example Pensions', allowsTrading: false },
  { slug: 'SANDBOX', name: 'SnapTrade Sandbox', allowsTrading: true },
];

export function createBrokerages(clock: Clock, random: Random): readonly Brokerage[] {
  return CATALOGUE.map((entry) => ({
    ...entry,
    id: drawUuid(random),
    maintenance: createSwitch(clock),
    degraded: createSwitch(clock),
  }));
}

/** As in a BrokerageAuthorization; `is_degraded` came later than the rest (vendor's spec). */
export function brokerageRow(brokerage: Brokerage, withNewFields: boolean): JsonObject {
  const { id, slug, name, allowsTrading, maintenance, degraded } = brokerage;
  return {
    id,
    slug,
    name,
    display_name: name,
    description: '',
    aws_s3_logo_url: null,
    aws_s3_square_logo_url: null,
    url: 'https://broker.example.test',
    enabled: true,
    maintenance_mode: maintenance.isOn,
    ...(withNewFields ? { is_degraded: degraded.isOn } : {}),
    allows_trading: allowsTrading,
    brokerage_type: { name: 'Traditional Brokerage' },
    open_url: null,
  };
}

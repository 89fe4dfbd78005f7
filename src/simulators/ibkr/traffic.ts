import { createTraffic, type Traffic as TrafficOf } from '../traffic.js';

/** How a connection ended, as the venue sees it. */
export type EndCause = 'client' | 'fault' | 'maintenance' | 'new_login';

export type Traffic = TrafficOf<EndCause>;

export const createOwnTraffic = (): Traffic => createTraffic<EndCause>('answers');

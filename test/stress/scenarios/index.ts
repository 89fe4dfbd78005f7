import type { Scenario } from '../scenario.js';
import { crowd } from './crowd.js';

/** In the order in which they are played. */
export const scenarios: readonly Scenario[] = [crowd];

import { costs } from './costs.js';
import { fanOut } from './fan-out.js';
import { groups } from './groups.js';
import { journal } from './journal.js';
import { lagging } from './lagging.js';
import { latency } from './latency.js';
import { memory } from './memory.js';
import { others } from './others.js';
import { resumeStorm } from './resume-storm.js';
import { startUp } from './start-up.js';
import type { Question } from './support/question.js';
import { wayIn } from './way-in.js';
import { workers } from './workers.js';

/** All of them, in the order in which they are asked. */
export const questions: readonly Question[] = [
  fanOut,
  others,
  latency,
  groups,
  costs,
  wayIn,
  journal,
  resumeStorm,
  lagging,
  memory,
  startUp,
  workers,
];

import { fanOut } from './fan-out.js';
import type { Question } from './support/question.js';

/** All of them, in the order in which they are asked. */
export const questions: readonly Question[] = [fanOut];

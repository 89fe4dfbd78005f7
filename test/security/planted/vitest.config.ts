import { defineConfig } from 'vitest/config';
import { base, plugins } from '../../support/vitest-base.js';

/** The planted leaks alone, which the ordinary run does not include, with everything else as it is there. */
export default defineConfig({ plugins, test: { ...base, include: ['test/security/planted/leaks.ts'] } });

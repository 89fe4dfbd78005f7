import { describe, expect, test } from 'vitest';
import { VERSION } from '../../src/version.js';
import { cli } from '../support/cli-run.js';

async function ran(...args: readonly string[]) {
  const one = cli(args);
  return { code: await one.code, stdout: one.stdout(), stderr: one.stderr() };
}

const COMMANDS = ['demo', 'serve', 'simulate', 'tail', 'status', 'command', 'check'];

describe('session-relay', () => {
  test('lists its commands with --help, on stdout', async () => {
    for (const flag of ['--help', '-h', 'help']) {
      const { code, stdout, stderr } = await ran(flag);
      expect(code).toBe(0);
      expect(stderr).toBe('');
      for (const name of COMMANDS) expect(stdout).toContain(`session-relay ${name} `);
    }
  });

  test('says its version', async () => {
    expect(await ran('--version')).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  test('without a command, or with one that is none, is bad input', async () => {
    for (const args of [[], ['demmo']]) {
      const { code, stdout, stderr } = await ran(...args);
      expect(code).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toContain('session-relay tail ');
    }
  });

  test.each(COMMANDS)('%s --help says how it is used', async (name) => {
    const { code, stdout } = await ran(name, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain(`session-relay ${name} `);
  });
});

describe('a command line that cannot be used is one problem and the usage, on stderr', () => {
  test.each([
    [['demo', '--prt', '1'], /Unknown option '--prt'/],
    [['demo', '--port', '70000'], /--port 70000: a port is a number from 0 to 65535/],
    [['demo', '--port', '-1'], /--port/],
    [['demo', '--seed', 'x'], /--seed x: a seed is a whole number from 0/],
    [['demo', '--host', '0.0.0.0'], /the demo has no auth/],
    [['demo', '--data', ''], /--data: a folder is missing/],
    [['demo', 'now'], /one argument too many: now/],
    [['serve'], /--config FILE is missing/],
    [['serve', '--config', 'a', '--port', 'x'], /--port x/],
    [['serve', '--config', 'a', '--data', ''], /--data: a folder is missing/],
    [['simulate'], /an argument is missing/],
    [['simulate', 'nyse'], /there is no simulator of nyse: deribit, tradernet/],
    [['simulate', 'constructor'], /there is no simulator of constructor/],
    [['tail', '--channel', 'deribit'], /--channel deribit: a channel without `>` at its end has 5 tokens/],
    [['tail', '--since', 'yesterday'], /--since yesterday is no cursor/],
    [['tail', '--states', '--channel', '*.*.*.safety.changed'], /names a type/],
    [['command', 'http://127.0.0.1:1', 'deribit.main'], /an argument is missing/],
    [['command', 'http://127.0.0.1:1', 'deribit.main', 'read', 'scope'], /parameters are key=value/],
    [['command', 'http://127.0.0.1:1', 'deribit.main', 'read', 'a=1', 'a=2'], /the parameter a is given twice/],
    [['check'], /--config FILE is missing/],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await ran(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    const [problem = '', usage, ...rest] = stderr.trimEnd().split('\n');
    expect(problem).toMatch(message);
    expect(usage).toMatch(/^usage: session-relay /);
    expect(rest).toEqual([]);
  });

  test('a scenario that is none is bad input', async () => {
    for (const args of [
      ['demo', '--port', '0', '--scenario', 'x'],
      ['simulate', 'deribit', '--scenario', 'x'],
    ]) {
      const { code, stderr } = await ran(...args);
      expect(code).toBe(2);
      expect(stderr).toContain('there is no scenario x: ');
    }
  });
});

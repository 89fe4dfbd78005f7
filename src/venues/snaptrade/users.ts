import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { ConfigError } from '../../errors.js';
import { type SnaptradeConfig, type SnaptradeUser, snaptradeUsers } from './options.js';

/** Reads a text file whole; throws where it cannot. */
export type ReadFile = (path: string) => string;

export const readFile: ReadFile = (path) => readFileSync(path, 'utf8');

/** One user as a source: `user` is absent for a personal key. */
export interface SourceOfUser {
  /** The source's token, `partner` or `partner~alias`. */
  readonly source: string;
  readonly user?: Pick<SnaptradeUser, 'userId' | 'userSecret'>;
}

/** The users of a configuration and the sources that they are. */
export interface Users {
  readonly current: readonly SourceOfUser[];
  /** Reads the file again. `failed` is told once for each reason; the users stay as they were. */
  again(): 'same' | 'changed' | { readonly failed: string };
  /** Others are configured. Nothing changes where they come from a file. */
  replace(users: readonly SnaptradeUser[]): void;
}

/** @throws ConfigError where the file cannot be read or is no list of users: then there is nobody to watch. */
export function createUsers(
  config: Pick<SnaptradeConfig, 'id' | 'users' | 'usersFile' | 'personal'>,
  read: ReadFile,
): Users {
  const { id, usersFile } = config;
  const sourceOf = ({ alias, userId, userSecret }: SnaptradeUser): SourceOfUser => ({
    source: alias === undefined ? id : `${id}~${alias}`,
    user: { userId, userSecret },
  });
  if (usersFile === undefined) {
    let current = config.personal === true ? [{ source: id }] : (config.users ?? []).map(sourceOf);
    return {
      get current() {
        return current;
      },
      again: () => 'same',
      replace(users) {
        current = users.map(sourceOf);
      },
    };
  }
  let seen: string;
  let current: readonly SourceOfUser[];
  let lastProblem = '';
  try {
    seen = read(usersFile);
    current = readUsers(seen).map(sourceOf);
  } catch (thrown) {
    throw new ConfigError([{ key: 'usersFile', message: problemOf(thrown) }]);
  }
  return {
    get current() {
      return current;
    },
    replace() {},
    again() {
      try {
        const text = read(usersFile);
        if (text === seen && lastProblem === '') return 'same';
        const users = readUsers(text).map(sourceOf);
        lastProblem = '';
        if (text === seen) return 'same';
        seen = text;
        current = users;
        return 'changed';
      } catch (thrown) {
        const failed = problemOf(thrown);
        if (failed === lastProblem) return 'same';
        lastProblem = failed;
        return { failed };
      }
    },
  };
}

/** JSON, or YAML, with the list itself or a mapping with `users`. */
function readUsers(text: string): readonly SnaptradeUser[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = parse(text);
  }
  const list = z.object({ users: z.unknown() }).safeParse(value);
  return snaptradeUsers.parse(list.success ? list.data.users : value);
}

/** Names the place of what is wrong and never repeats what stands there: a secret may. */
function problemOf(thrown: unknown): string {
  if (thrown instanceof z.ZodError) {
    const [issue] = thrown.issues;
    // With a colon too few a secret is a part of a key.
    const what = issue?.code === 'unrecognized_keys' ? 'a key that is not known' : (issue?.message ?? '');
    return `the file of users is not usable: ${issue?.path.join('.') ?? ''}: ${what}`;
  }
  if (thrown instanceof Error && 'code' in thrown) {
    return `the file of users cannot be read: ${String(thrown.code)}`;
  }
  return 'the file of users is neither JSON nor YAML';
}

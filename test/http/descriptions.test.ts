import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from '@asyncapi/parser';
import { Validator } from '@seriousme/openapi-schema-validator';
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { configJsonSchema } from '../../src/cli/config/json-schema.js';
import { NOTIFICATIONS, RESULTS, wireErrorShape } from '../../src/edge/messages.js';
import { METHOD_PARAMS } from '../../src/edge/params.js';
import { readFrame } from '../../src/edge/request.js';
import { asyncApi } from '../../src/http/descriptions/asyncapi.js';
import { openApi } from '../../src/http/descriptions/openapi.js';
import { sessionEvent } from '../../src/model/event.js';
import { state } from '../../src/model/state-schema.js';
import { closeTestRelays, startTestRelay, TRANSPORTS } from '../support/relay.js';
import { removeTempFolders, tempFolder } from '../support/temp-folder.js';

/** PROTOCOL.md §5: the descriptions, and that they, the text and the relay say the same. */
const VERSION = { version: '0.0.0' };
const protocol = readFileSync(fileURLToPath(new URL('../../PROTOCOL.md', import.meta.url)), 'utf8');
afterEach(async () => {
  await closeTestRelays();
  removeTempFolders();
});

const asFile = (description: unknown): string => `${JSON.stringify(description, null, 1)}\n`;

describe('the descriptions', () => {
  test('AsyncAPI is accepted by its official parser', async () => {
    const text = JSON.stringify(asyncApi(VERSION));
    const { document, diagnostics } = await new Parser().parse(text);
    // Hints may be there (a newer AsyncAPI exists); errors and warnings may not.
    expect(diagnostics.filter(({ severity }) => severity < 2)).toEqual([]);
    expect(document?.version()).toBe('3.0.0');
    expect(document?.operations().length).toBe(
      Object.keys(METHOD_PARAMS).length + Object.keys(NOTIFICATIONS).length + 1,
    );
  }, 60_000);

  test("OpenAPI is accepted by the specification's own schema", async () => {
    expect(await new Validator().validate(openApi(VERSION))).toEqual({ valid: true });
  });

  test('every reference leads somewhere', () => {
    for (const description of [asyncApi(VERSION), openApi(VERSION)]) {
      const references = [...JSON.stringify(description).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
        ([, path]) => path ?? '',
      );
      expect(references.length).toBeGreaterThan(20);
      const lost = references.filter((path) => {
        let at: unknown = description;
        for (const name of path.split('/')) at = (at as Record<string, unknown> | undefined)?.[name];
        return at === undefined;
      });
      expect(lost).toEqual([]);
    }
  });

  // What others build on: a change of the contract shows here, and is committed with the change that makes it
  // (`npx vitest run test/http/descriptions.test.ts -u`).
  test.each([
    ['asyncapi', () => asyncApi(VERSION)],
    ['openapi', () => openApi(VERSION)],
    ['config', () => configJsonSchema()],
  ])('%s is what was committed', async (file, make) => {
    await expect(asFile(make())).toMatchFileSnapshot(`./descriptions/${file}.snap`);
  });
});

describe("PROTOCOL.md's examples", () => {
  const blocks = [...protocol.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text]) => text ?? '');
  const exchange = [...protocol.matchAll(/^([<>]) (\{.*\})$/gm)].map(([, who, text]) => ({ who, text: text ?? '' }));

  test('an event and a state', () => {
    expect(blocks).toHaveLength(2);
    expect(sessionEvent.parse(JSON.parse(blocks[0] ?? ''))).toMatchObject({ type: 'heartbeat.missed' });
    expect(state.parse(JSON.parse(blocks[1] ?? ''))).toMatchObject({ status: 'active' });
  });

  test('the first frame', () => {
    const [, text] = /First frame: `(\{.*?\})`/.exec(protocol) ?? [];
    NOTIFICATIONS.welcome.parse(JSON.parse(text ?? '').params);
  });

  test('every frame of the exchange', () => {
    expect(exchange.length).toBeGreaterThan(15);
    const asked = new Map<unknown, keyof typeof METHOD_PARAMS>();
    const said = new Set<string>();
    const frame = z.looseObject({
      id: z.number().optional(),
      method: z.enum(Object.keys(NOTIFICATIONS) as [keyof typeof NOTIFICATIONS]).optional(),
      params: z.unknown().optional(),
      result: z.unknown().optional(),
      error: z.unknown().optional(),
    });
    for (const { who, text } of exchange) {
      if (who === '>') {
        const request = readFrame(text);
        if (!request.ok) throw new Error(`${text}: ${request.message}`);
        METHOD_PARAMS[request.method].parse(request.params);
        asked.set(request.id, request.method);
        continue;
      }
      const { id, method, params, result, error } = frame.parse(JSON.parse(text));
      if (method !== undefined) {
        NOTIFICATIONS[method].parse(params);
        said.add(method);
      } else if (error !== undefined) wireErrorShape.parse(error);
      else RESULTS[asked.get(id) ?? 'ping'].parse(result);
    }
    expect(Object.keys(NOTIFICATIONS).filter((method) => !said.has(method))).toEqual(['unsubscribed']);
  });

  test('§5 names no path that is not described, and no described path is missing there', () => {
    const { paths } = z.looseObject({ paths: z.record(z.string(), z.unknown()) }).parse(openApi(VERSION));
    const section = protocol.slice(protocol.indexOf('## 5. HTTP'), protocol.indexOf('## 6.'));
    const named = [...section.matchAll(/`(?:GET|POST) (\/[^`?\s]*)/g)].map(([, path]) => path ?? '');
    const plain = (path: string): string => path.replace(/\{[^}]*\}/g, '{}').replace('/hooks/snaptrade/', '/hooks/{}/');
    const described = Object.keys(paths).map(plain);
    expect([...new Set(named.map(plain))].toSorted()).toEqual(described.toSorted());
  });
});

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('the relay serves both, without credentials, and every path that it describes', async () => {
    const dashboard = tempFolder();
    writeFileSync(join(dashboard, 'index.html'), '');
    const { url } = await startTestRelay(transport, {
      dashboard,
      auth: {
        mode: 'keys',
        keys: [{ name: 'a', sha256: '0'.repeat(64), channels: ['>'], commands: [], fields: 'full' }],
      },
    });
    for (const name of ['asyncapi', 'openapi']) {
      const answer = await fetch(`${url}/v1/${name}.json`);
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json']);
      expect(await answer.json()).toMatchObject({ [name]: expect.stringMatching(/^3\./) });
    }
    const { paths } = z
      .looseObject({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
      .parse(openApi(VERSION));
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods)) {
        const target = `${url}${path.replace(/\{[^}]*\}/g, 'x')}`;
        const { status } = await fetch(target, { method: method.toUpperCase() });
        // Without a token most are refused; what matters is that something answers for the path and the method.
        expect([path, method, [405, 501, 500].includes(status)]).toEqual([path, method, false]);
      }
    }
  });
});

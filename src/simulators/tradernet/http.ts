import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { messageOf } from '../../errors.js';
import { type Json, jsonObject } from '../../model/json.js';
import { MAX_BODY_BYTES, readBody } from '../body.js';
import type { Broker } from './broker.js';
import { type Asked, COMMANDS } from './commands.js';
import { cookieOf } from './cookies.js';
import { fieldsOf, formOf } from './form.js';
import { answerLogin } from './login.js';
import { Refusal, refusals } from './refusal.js';
import { type Answer, json, throttled } from './reply.js';

const API_PATH = '/api';
const LOGIN_PATH = '/api/check-login-password';
const V2_PREFIX = '/api/v2/cmd/';
const V3_PREFIX = '/api/';

/** One request over HTTP, with its body read. */
export interface ApiRequest {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
  readonly contentType: string;
  readonly address: string;
  header(name: string): string | undefined;
}

/**
 * The HTTP API in its three versions: `/api/?q={cmd, SID, params}`, `/api/v2/cmd/<cmd>` signed as a form,
 * `/api/<cmd>` signed over the body and the time; and the login. Answers whether the path is the API's.
 */
export function serveApi(request: IncomingMessage, response: ServerResponse, broker: Broker, url: URL): boolean {
  if (url.pathname !== API_PATH && !url.pathname.startsWith(V3_PREFIX)) return false;
  const { conditions, traffic } = broker;
  if (conditions.httpDown.isOn) {
    request.socket.destroy();
    return true;
  }
  readBody(request, (body) => {
    if (body === undefined) {
      response.writeHead(413).end(`at most ${MAX_BODY_BYTES} bytes`);
      return;
    }
    void answer(broker, {
      method: request.method ?? 'GET',
      url,
      body,
      contentType: request.headers['content-type'] ?? '',
      address: request.socket.remoteAddress ?? '',
      header(name) {
        const value = request.headers[name];
        return typeof value === 'string' ? value : undefined;
      },
    }).then(({ status, body: said, headers = {}, refused }) => {
      if (refused !== undefined) traffic.outcome(refused);
      const text = typeof said === 'string' ? said : JSON.stringify(said);
      response.writeHead(status, {
        'content-type': typeof said === 'string' ? 'text/html' : 'application/json',
        'content-length': Buffer.byteLength(text),
        ...headers,
      });
      response.end(text);
    });
  });
  return true;
}

async function answer(broker: Broker, request: ApiRequest): Promise<Answer> {
  const { clock, conditions, traffic } = broker;
  // What stands before the API answers with a page of its own.
  if (conditions.maintenance.isOn) return { status: 503, body: '<h1>Maintenance</h1>', refused: 503 };
  try {
    if (conditions.throttled.isOn) {
      traffic.asked('http', 'throttled');
      return throttled(conditions.throttledUntil - clock.monotonic());
    }
    if (request.url.pathname === LOGIN_PATH) {
      traffic.asked('http', 'check-login-password');
      if (request.method !== 'POST') throw refusals.unsupported();
      return answerLogin(broker, await formOf(request));
    }
    return json(await answerCommand(broker, request));
  } catch (thrown) {
    if (thrown instanceof Refusal) return { status: 200, body: thrown.body, refused: thrown.code };
    return { status: 500, body: messageOf(thrown), refused: 500 };
  }
}

async function answerCommand(broker: Broker, request: ApiRequest): Promise<Json> {
  const { name, params, sid, sign } = await read(request);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  broker.traffic.asked('http', command === undefined ? undefined : name);
  if (command === undefined) throw refusals.unsupported();
  // "tryBySid ?: tryByApiKey": a SID that lives goes first (Tradernet's PHP SDK).
  const lives = broker.logins.isAlive(sid);
  if (!lives) {
    if (sign === undefined) throw refusals.unknownUser();
    sign(broker);
  }
  return command(broker, { params, sid: lives ? sid : undefined, address: request.address });
}

interface Read extends Omit<Asked, 'address'> {
  readonly name: string;
  /** Checks the signature; absent where the request has none. */
  readonly sign?: (broker: Broker) => void;
}

async function read(request: ApiRequest): Promise<Read> {
  const { url, header } = request;
  const cookie = cookieOf(header('cookie'), 'SID');
  const signature = header('x-ntapi-sig');
  if (url.pathname.startsWith(V2_PREFIX)) {
    const fields = fieldsOf(await formOf(request));
    const { params = {}, cmd, SID } = fields;
    const name = url.pathname.slice(V2_PREFIX.length);
    if (cmd !== undefined && cmd !== name) throw refusals.badParams('cmd');
    const given = typeof params === 'string' ? parsed(params) : params;
    const sid = typeof SID === 'string' ? SID : cookie;
    const isSigned = fields.apiKey !== undefined;
    return { name, params: given, sid, ...(isSigned ? { sign: ({ keys }) => keys.verifyV2(fields, signature) } : {}) };
  }
  if (url.pathname !== API_PATH && url.pathname !== V3_PREFIX) {
    const isGet = request.method === 'GET';
    const params = isGet ? Object.fromEntries(url.searchParams) : request.body === '' ? {} : parsed(request.body);
    const publicKey = header('x-ntapi-publickey');
    const signed = { publicKey, timestamp: header('x-ntapi-timestamp'), signature };
    const sign = ({ keys }: Broker): void => keys.verifyV3(signed, isGet ? '' : request.body);
    const name = url.pathname.slice(V3_PREFIX.length);
    return { name, params, sid: cookie, ...(publicKey === undefined ? {} : { sign }) };
  }
  const query = url.searchParams.get('q') ?? (await formOf(request)).get('q');
  const asked = firstVersion.safeParse(parsed(typeof query === 'string' ? query : ''));
  if (!asked.success) throw refusals.unsupported();
  const { cmd, SID, params } = asked.data;
  return { name: cmd, params, sid: SID ?? cookie };
}

const firstVersion = z.looseObject({
  cmd: z.string(),
  SID: z.string().nullish(),
  // PHP writes an empty object as an empty list.
  params: z.union([jsonObject, z.tuple([]).transform(() => ({}))]).default({}),
});

function parsed(text: string): Asked['params'] {
  try {
    const object = jsonObject.safeParse(JSON.parse(text));
    if (object.success) return object.data;
  } catch {
    // not JSON
  }
  throw refusals.badJson();
}

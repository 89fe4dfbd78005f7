import type { Json } from '../../model/json.js';
import { accountMethods } from './account-methods.js';
import type { Asked, Call, Method } from './call.js';
import type { Exchange } from './exchange.js';
import { sessionMethods } from './session-methods.js';
import { subscriptionMethods } from './subscription-methods.js';
import { Refusal, type Request } from './wire.js';

const methods: { readonly [name: string]: Method } = { ...sessionMethods, ...subscriptionMethods, ...accountMethods };

export interface Outcome {
  /** Neither of the two: the venue does not answer. */
  readonly result?: Json;
  readonly refusal?: Refusal;
}

/** Methods that are answered without authentication whatever happens to the other public ones. */
const ALWAYS_PUBLIC = ['public/auth', 'public/test', 'public/status', 'public/set_heartbeat', 'public/hello'];

/** Carries out one request, over whichever carrier it came. */
export function answer(exchange: Exchange, { method: name, params }: Request, asked: Asked): Outcome {
  const { conditions, platform, traffic } = exchange;
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  traffic.asked(method === undefined ? undefined : name);
  try {
    if (conditions.maintenance.isOn) throw new Refusal('system_maintenance');
    const grant = asked.connection?.grant ?? asked.bearer;
    const credits = grant?.account.credits ?? exchange.creditsOf(asked.address);
    if (asked.connection?.exhausted === true || !credits.spend(method?.pool ?? 'general'))
      throw new Refusal('too_many_requests');
    if (method === undefined) throw new Refusal('Method not found');
    if (!platform.publicMethods && name.startsWith('public/') && grant === undefined && !ALWAYS_PUBLIC.includes(name)) {
      throw new Refusal('unauthenticated_public_requests_temporarily_disabled');
    }
    const call: Call = { exchange, params, ...asked };
    const result = method.run(params, call);
    return result === undefined ? {} : { result };
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    traffic.refused(thrown.code);
    return { refusal: thrown };
  }
}

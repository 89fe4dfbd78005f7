import { ACCOUNT } from './account.js';
import type { Broker } from './broker.js';
import { refusals } from './refusal.js';
import { type Answer, json, throttled } from './reply.js';

/**
 * `check-login-password`: a SID in the body and as a cookie, or `error` with HTTP 200. `mode: "sms"` is the second step
 * of a login that asked for a code. Throws a `Refusal`.
 */
export function answerLogin(broker: Broker, form: URLSearchParams): Answer {
  const { conditions, loginLimit, logins, twoFactor } = broker;
  const waitMs = loginLimit.take();
  if (waitMs > 0) return throttled(waitMs);
  const given = (name: string): string => form.get(name) ?? '';
  if (conditions.badCredentials.isOn) throw refusals.badLogin();
  if (given('mode') === 'sms') {
    if (!twoFactor.check(given('auth_code_id'), given('sms'))) throw refusals.badCode();
  } else {
    if (given('login') !== ACCOUNT.login || given('password') !== ACCOUNT.password) throw refusals.badLogin();
    if (conditions.twoFactor.isOn) return json(twoFactor.ask());
  }
  const sid = logins.open({ rememberMe: given('rememberMe') === '1' });
  const attributes = 'path=/; HttpOnly';
  const cookies = [`SID=${sid}; ${attributes}`, `uid=${ACCOUNT.userId}; ${attributes}`];
  return json({ SID: sid, userId: ACCOUNT.userId }, { 'set-cookie': cookies });
}

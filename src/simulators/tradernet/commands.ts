import { z } from 'zod';
import type { Json, JsonObject } from '../../model/json.js';
import { ACCOUNT } from './account.js';
import type { Broker } from './broker.js';
import { refusals } from './refusal.js';
import { API_KEY_TYPE, SESSION_LIFE_MS, SMS_TYPE } from './sessions.js';

/** Who asks, and with what. */
export interface Asked {
  readonly params: JsonObject;
  /** Absent: the request was signed with the API key. */
  readonly sid: string | undefined;
  readonly address: string;
}

/** Answers one command of a customer. Throws a `Refusal`. */
export type Command = (broker: Broker, asked: Asked) => Json;

const text = z.union([z.string(), z.number().transform(String)]);
const validation = z.looseObject({ validationKey: text });
const opening = z.looseObject({ safetyTypeId: z.coerce.number().int().min(0), validationKey: text });

/** What the simulator has of the API (vendor's pages; `getAuthInfo`: tn.api). */
export const COMMANDS: { readonly [name: string]: Command } = {
  // That an `error` may be there, and falsy, is the PHP SDK's.
  getSidInfo: (_broker, { sid }) => ({ SID: sid ?? null, user_id: ACCOUNT.userId, error: null }),

  getSecuritySessions: ({ sessions }) => sessions.rows(),

  /** With an API key it opens a security session beside; one that is open already is prolonged (assumed). */
  getAuthInfo({ clock, sessions }, { sid, address }) {
    if (sid === undefined) {
      const open = sessions.all.find(({ safetyTypeId }) => safetyTypeId === API_KEY_TYPE);
      if (open === undefined) sessions.open({ safetyTypeId: API_KEY_TYPE, lifeMs: SESSION_LIFE_MS, address });
      else sessions.prolong(open, clock.now() + SESSION_LIFE_MS - open.expiresAt);
    }
    return { login: ACCOUNT.login, mode: 'prod', trade: true, error: null };
  },

  getSecuritySessionCode: ({ codes }) => codes.request(),

  checkSecuritySessionCode(broker, { params, address }) {
    const { validationKey } = paramsOf(validation, params);
    const { codes, sessions } = broker;
    const success = codes.check(validationKey);
    if (success) sessions.open({ safetyTypeId: SMS_TYPE, lifeMs: SESSION_LIFE_MS, address });
    return {
      success,
      isAttemptAvailable: success || codes.attemptsLeft > 0,
      sessions: success ? sessions.rows() : null,
      texts: { error: success ? null : 'Bad code', footer: null, link: null },
    };
  },

  /** Its answer is documented nowhere: the one of `checkSecuritySessionCode`. */
  openSecuritySession({ codes, sessions }, { params, address }) {
    const { safetyTypeId, validationKey } = paramsOf(opening, params);
    if (!codes.check(validationKey)) throw refusals.badCode();
    const session = sessions.open({ safetyTypeId, lifeMs: SESSION_LIFE_MS, address });
    return { success: true, sessions: [sessions.row(session)], texts: { error: null, footer: null, link: null } };
  },
};

function paramsOf<S extends z.ZodType>(schema: S, params: JsonObject): z.output<S> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return parsed.data;
  throw refusals.badParams(parsed.error.issues[0]?.path.join('.') ?? 'params');
}

import { z } from 'zod';

const spoken = z.object({ session: z.string() });

/** The session in a text `{"session":"…"}`. */
export function sessionOfText(text: string): string | undefined {
  try {
    return spoken.safeParse(JSON.parse(text)).data?.session;
  } catch {
    return undefined;
  }
}

/** The session in a `Cookie` header: `api={"session":"…"}`, as clients of a gateway send it, or `api=…` alone. */
export function sessionOfCookie(header: string | undefined): string | undefined {
  const value = /(?:^|;)\s*api=([^;]*)/.exec(header ?? '')?.[1]?.trim();
  if (value === undefined) return undefined;
  const plain = decoded(value);
  return sessionOfText(plain) ?? plain;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

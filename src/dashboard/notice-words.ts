import type { ClientNotice, View } from '../client/index.js';

/** Why what is shown is not known to be true, as the timeline marks it. */
export function outageWords(view: Exclude<View, 'live'>): string {
  return OUTAGES[view];
}

const OUTAGES: { readonly [V in Exclude<View, 'live'>]: string } = {
  unreachable: 'The relay cannot be heard: what is shown is not known to be true.',
  blind: 'The relay cannot see: what is shown is not known to be true.',
  replaying: 'The page is behind the relay and catches up.',
};

/** What befell the stream, in words; `undefined`: its own stream tells it. */
export function noticeWords(notice: ClientNotice): string | undefined {
  switch (notice.kind) {
    case 'gap':
      return undefined;
    case 'resubscribed':
      return `Frames of ${notice.channel} were missing: it was subscribed again, and nothing is lost by that.`;
    case 'fault':
      return `Something came that could not be read: ${notice.what}.`;
    case 'refused':
      return `The relay does not serve ${notice.channel}: ${notice.error.message}.`;
    case 'token':
      return `A token was refused: ${notice.error.message}.`;
  }
}

/** What a mark of the timeline holds. */
export function detailOf(notice: ClientNotice): { readonly [name: string]: unknown } {
  return 'error' in notice
    ? { ...notice, error: { code: notice.error.code, message: notice.error.message } }
    : { ...notice };
}

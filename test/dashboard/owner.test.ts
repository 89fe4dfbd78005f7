import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ownerName } from '../../src/dashboard/owner.js';
import { sessionKey } from '../../src/model/subject.js';

test('a source is named as the keys of its sessions begin', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }), (source) => {
      expect(`${ownerName({ venue: 'snaptrade', source, commands: [] })}.-`).toBe(sessionKey('snaptrade', source, '-'));
    }),
  );
  for (const source of ['main', 'partner~a b', "it's(1)*!.x", 'a@b:c+d', 'ü/%'])
    expect(`${ownerName({ venue: 'ibkr', source, commands: [] })}.-`).toBe(sessionKey('ibkr', source, '-'));
});

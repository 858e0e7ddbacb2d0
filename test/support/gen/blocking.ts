/**
 * Random blocking commands for differential tests: on keys that have something, on keys that have not, where they give up
 * within milliseconds, and wrong. For one connection at a time: nobody is to push to what they wait for.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

const LISTS = ['l1', 'l2', '{l}1', 'nokey', 'other', 'z1'];
const ZSETS = ['z1', 'z2', '{z}4', 'nokey', 'other', 'l1'];

function timeout(r: Random): Arg {
  if (r.below(6) === 0) return pick(r, ['-1', 'x', '', '1e400', 'inf', 'nan', '1e300', '-0.1', '9223372036854775807']);
  return pick(r, ['0.001', '0.002', '.003', '2e-3']);
}

function several(r: Random, keys: readonly string[]): Arg[] {
  return Array.from({ length: 1 + r.below(3) }, () => pick(r, keys));
}

function counted(r: Random, keys: readonly string[]): Arg[] {
  const chosen = several(r, keys);
  return [r.below(12) === 0 ? pick(r, ['0', '-1', 'x', '9']) : chosen.length, ...chosen];
}

function count(r: Random): Arg[] {
  return r.below(2) === 0 ? [] : ['COUNT', pick(r, ['1', '2', '10', '0', 'x'])];
}

export function blockingCommand(r: Random): Arg[] {
  const end = (): Arg => pick(r, ['LEFT', 'right', 'LEFT', 'RIGHT', 'UP']);
  switch (r.below(7)) {
    case 0:
    case 1:
      return [pick(r, ['BLPOP', 'BRPOP']), ...several(r, LISTS), timeout(r)];
    case 2:
      return ['BLMOVE', pick(r, LISTS), pick(r, LISTS), end(), end(), timeout(r)];
    case 3:
      return ['BRPOPLPUSH', pick(r, LISTS), pick(r, LISTS), timeout(r)];
    case 4:
      return ['BLMPOP', timeout(r), ...counted(r, LISTS), end(), ...count(r)];
    case 5:
      return [pick(r, ['BZPOPMIN', 'BZPOPMAX']), ...several(r, ZSETS), timeout(r)];
    default:
      return ['BZMPOP', timeout(r), ...counted(r, ZSETS), pick(r, ['MIN', 'max', 'MAX', 'FOO']), ...count(r)];
  }
}

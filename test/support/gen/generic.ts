/**
 * Random commands on keys of any type, for differential tests: the keys of gen/string.ts and a few more, among them `abs`
 * for absolute expiries.
 *
 * KEYS replies in free order. As with strings, a stream must end or flush within half a second because of TTL. SCAN and
 * RANDOMKEY cannot be compared and are not here; nor are OBJECT REFCOUNT (Redis counts a copied small integer as not
 * shared), OBJECT IDLETIME and PTTL.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick, STRING_KEYS } from './string.ts';

export const GENERIC_KEYS = [...STRING_KEYS, 'list', 'set', 'zset', 'hash', 'stream', 'nokey'];
export const GENERIC_UNORDERED = ['keys'];

const PATTERNS = ['*', 'a*', '?', '[ab]', '*e*', 'key:?', '\\a', '[^a]', '', 'nokey', '{*', '[a'];
const CONDITIONS = ['NX', 'XX', 'GT', 'LT', 'nx', 'Gt'];
const DATABASES = [0, 1, 2, 15, 16, -1, 'x', '9999999999'];

function conditions(r: Random): Arg[] {
  const kind = r.below(10);
  if (kind < 4) return [];
  if (kind < 8) return [pick(r, CONDITIONS)];
  if (kind < 9) return [pick(r, CONDITIONS), pick(r, CONDITIONS)];
  return [pick(r, CONDITIONS), 'FOO'];
}

function expire(r: Random, key: string): Arg[] {
  const bad = r.below(10) === 0;
  const wrong = [
    '9223372036854775807',
    '-9223372036854775808',
    '9223372036854776',
    '-9223372036854775',
    'x',
    '1.5',
    '0',
    '-1',
    '',
  ];
  // Far apart, so that two relative times never differ by how long the commands took.
  const seconds = 1000 + r.below(1_000_000);
  switch (r.below(4)) {
    case 0:
      return ['EXPIRE', key, bad ? pick(r, wrong) : seconds, ...conditions(r)];
    case 1:
      return ['PEXPIRE', key, bad ? pick(r, wrong) : seconds * 1000, ...conditions(r)];
    case 2:
      return ['EXPIREAT', key, pick(r, wrong), ...conditions(r)];
    default:
      return expireAbsolute(r, 'abs', bad ? pick(r, wrong) : undefined);
  }
}

function expireAbsolute(r: Random, key: string, wrong: Arg | undefined): Arg[] {
  const seconds = 4_000_000_000 + r.below(10);
  if (r.below(2) === 0) return ['EXPIREAT', key, wrong ?? seconds, ...conditions(r)];
  return ['PEXPIREAT', key, wrong ?? seconds * 1000 + r.below(3), ...conditions(r)];
}

function some(r: Random): Arg[] {
  const out: Arg[] = [];
  for (let n = 1 + r.below(3); n > 0; n--) out.push(pick(r, GENERIC_KEYS));
  return out;
}

function copyOptions(r: Random): Arg[] {
  const options: Arg[] = [];
  if (r.below(2) === 0) options.push('REPLACE');
  if (r.below(3) === 0) options.push('DB', pick(r, DATABASES));
  if (r.below(15) === 0) options.push(pick(r, ['DB', 'FOO']));
  return options;
}

export function genericCommand(r: Random): Arg[] {
  const key = pick(r, GENERIC_KEYS);
  const other = pick(r, GENERIC_KEYS);
  switch (r.below(30)) {
    case 0:
      return [pick(r, ['DEL', 'UNLINK']), ...some(r)];
    case 1:
      return [pick(r, ['EXISTS', 'TOUCH']), ...some(r)];
    case 2:
    case 3:
    case 4:
      return expire(r, key);
    case 5:
      return r.below(2) === 0 ? ['SETNX', 'abs', '1'] : expireAbsolute(r, 'abs', undefined);
    case 6:
      return [pick(r, ['EXPIRETIME', 'PEXPIRETIME']), 'abs'];
    case 7:
    case 8:
      return ['TTL', key];
    case 9:
      return ['PERSIST', key];
    case 10:
      return ['TYPE', key];
    case 11:
    case 12:
      return ['KEYS', pick(r, PATTERNS)];
    case 13:
    case 14:
    case 15:
      return ['RENAME', key, other];
    case 16:
      return ['RENAMENX', key, other];
    case 17:
    case 18:
    case 19:
    case 20:
      return ['COPY', key, other, ...copyOptions(r)];
    case 21:
      return ['MOVE', key, pick(r, DATABASES)];
    case 22:
      return ['SWAPDB', pick(r, DATABASES), pick(r, DATABASES)];
    case 23:
      return ['DBSIZE'];
    case 24:
    case 25:
      return ['OBJECT', 'ENCODING', key];
    case 26:
      return ['OBJECT', pick(r, ['FREQ', 'FOO', 'ENCODING']), key, ...(r.below(4) === 0 ? ['x'] : [])];
    case 27:
      return r.below(10) === 0
        ? [pick(r, ['FLUSHDB', 'FLUSHALL']), ...pick(r, [[], ['ASYNC'], ['sync'], ['x'], ['SYNC', 'SYNC']])]
        : ['DBSIZE'];
    case 28:
      return ['SWAPDB', 0, 1];
    default:
      return [pick(r, ['DEL', 'TYPE', 'EXPIRE', 'COPY', 'OBJECT', 'MOVE', 'KEYS', 'TTL']), ...some(r)].slice(
        0,
        1 + r.below(4),
      );
  }
}

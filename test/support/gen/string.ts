/**
 * Random string commands over a few keys, for differential tests: ordinary, at the edges, and wrong.
 *
 * No command here replies in free order. TTL rounds to seconds, so a stream must end, or flush, within half a second of
 * its first relative expiry. The key `abs` gets absolute expiries only, far away, and is for EXPIRETIME, never for TTL.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';

/** Keys that string commands write; `other` is for a key of another type that the test makes. */
export const STRING_KEYS = ['a', 'b', 'c', 'd', 'n', 'm', 'key:7', '{a}1', 'other', ''];

export function pick<T>(r: Random, from: readonly T[]): T {
  return from[r.below(from.length)];
}

const INTEGERS = [
  '0',
  '1',
  '-1',
  '9',
  '99',
  '9999',
  '10000',
  '2147483647',
  '-2147483648',
  '9007199254740991',
  '9007199254740993',
  '-9007199254740992',
  '999999999999999',
  '1000000000000000',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775806',
];
const NOT_INTEGERS = [
  '9223372036854775808',
  '-9223372036854775809',
  '01',
  '-0',
  '+1',
  ' 1',
  '1 ',
  '1.0',
  '',
  'x',
  '-',
  '1e3',
];
const FLOATS = ['0.1', '-0.1', '3.0', '1e3', '5e-18', '1.5e300', '0x1p-3', '.5', '-7.25', '100.00000000000000001'];
const NOT_FLOATS = ['inf', '-inf', 'nan', 'abc', '1.2.3', '', ' 1', '1e5000'];

export function integer(r: Random): string {
  const kind = r.below(10);
  if (kind < 5) return String(r.below(200) - 100);
  if (kind < 9) return pick(r, INTEGERS);
  return pick(r, NOT_INTEGERS);
}

function float(r: Random): string {
  const kind = r.below(10);
  if (kind < 4) return String((r.below(2_000_000) - 1_000_000) / 1000);
  if (kind < 8) return pick(r, FLOATS);
  return kind === 8 ? pick(r, NOT_FLOATS) : integer(r);
}

/** Bytes of a value: short and long, text and binary, and now and then too long to lie beside its key. */
export function value(r: Random): Arg {
  const kind = r.below(20);
  if (kind < 6) return integer(r);
  if (kind < 8) return float(r);
  if (kind < 12)
    return pick(r, ['', 'a', 'hello', 'Hello World', 'x'.repeat(44), 'x'.repeat(45), 'ohmytext', 'mynewtext']);
  if (kind < 18) return 'abcdefghij'.repeat(20).slice(0, r.below(150));
  if (kind < 19) return Uint8Array.from({ length: r.below(40) }, () => r.below(256));
  return r.below(4) === 0 ? 'z'.repeat(60_000 + r.below(20_000)) : 'y'.repeat(r.below(3000));
}

function cased(r: Random, word: string): string {
  return r.below(4) === 0 ? word.toLowerCase() : word;
}

/** An expiry that does not come during a test, or a time that is wrong. Absolute ones only for the key `abs`. */
function expiry(r: Random, key: string): Arg[] {
  const wrong = r.below(6) === 0;
  const seconds = 100 + r.below(900);
  if (key !== 'abs') {
    if (wrong)
      return [pick(r, ['EX', 'PX', 'EXAT', 'PXAT']), pick(r, ['0', '-1', 'x', '9223372036854775807', '1.5', ''])];
    return r.below(2) === 0 ? [cased(r, 'EX'), seconds] : [cased(r, 'PX'), seconds * 1000];
  }
  if (r.below(2) === 0)
    return [cased(r, 'EXAT'), wrong ? pick(r, ['0', 'y', '9223372036854776']) : 4_000_000_000 + seconds];
  return [cased(r, 'PXAT'), wrong ? pick(r, ['0', '-1', '']) : 4_000_000_000_123 + seconds];
}

function setOptions(r: Random, key: string): Arg[] {
  const options: Arg[] = [];
  while (r.below(2) === 0 && options.length < 6) {
    const kind = r.below(6);
    if (kind < 2) options.push(...expiry(r, key));
    else options.push(cased(r, pick(r, ['NX', 'XX', 'GET', 'KEEPTTL', 'GET', 'NX', 'XX', 'PERSIST', 'FOO', 'EX'])));
  }
  return options;
}

function getexOptions(r: Random, key: string): Arg[] {
  const kind = r.below(8);
  if (kind < 2) return [];
  if (kind < 4) return [cased(r, 'PERSIST')];
  if (kind < 7) return expiry(r, key);
  return [...expiry(r, key), pick(r, ['PERSIST', 'NX', 'GET', 'EX'])];
}

function lcsOptions(r: Random): Arg[] {
  const options: Arg[] = [];
  if (r.below(3) === 0) options.push('LEN');
  if (r.below(2) === 0) options.push('IDX');
  if (r.below(3) === 0) options.push('WITHMATCHLEN');
  if (r.below(3) === 0) options.push('MINMATCHLEN', pick(r, [0, 1, 2, 4, -1, 'x']));
  if (r.below(20) === 0) options.push('FOO');
  return options;
}

function pairs(r: Random): Arg[] {
  const out: Arg[] = [];
  for (let n = 1 + r.below(4); n > 0; n--) out.push(pick(r, STRING_KEYS), value(r));
  if (r.below(15) === 0) out.pop();
  return out;
}

function keys(r: Random): Arg[] {
  const out: Arg[] = [];
  for (let n = 1 + r.below(4); n > 0; n--) out.push(pick(r, STRING_KEYS));
  return out;
}

/** LCS and the ranges keep to short values, for their replies. */
export function stringCommand(r: Random): Arg[] {
  const key = pick(r, STRING_KEYS);
  switch (r.below(38)) {
    case 0:
    case 1:
      return ['SET', key, value(r)];
    case 2:
    case 3:
    case 4:
    case 5:
      return ['SET', key, value(r), ...setOptions(r, key)];
    case 6:
    case 7:
      return ['GET', key];
    case 8:
      return ['APPEND', key, value(r)];
    case 9:
      return ['INCR', key];
    case 10:
      return ['DECR', key];
    case 11:
      return ['INCRBY', key, integer(r)];
    case 12:
      return ['DECRBY', key, integer(r)];
    case 13:
    case 14:
      return ['INCRBYFLOAT', key, float(r)];
    case 15:
      return ['MSET', ...pairs(r)];
    case 16:
      return ['MSETNX', ...pairs(r)];
    case 17:
      return ['MGET', ...keys(r)];
    case 18:
      return ['SETNX', key, value(r)];
    case 19:
      return ['SETEX', key, pick(r, [100, 1000, 0, -1, 'x', '9223372036854776']), value(r)];
    case 20:
      return ['PSETEX', key, pick(r, [100_000, 1_000_000, 0, -1, 'x', '9223372036854775807']), value(r)];
    case 21:
      return ['GETSET', key, value(r)];
    case 22:
      return ['GETDEL', key];
    case 23:
    case 24:
      return ['GETEX', key, ...getexOptions(r, key)];
    case 25:
      return [pick(r, ['GETRANGE', 'SUBSTR']), key, integer(r), integer(r)];
    case 26:
      return ['GETRANGE', key, r.below(20) - 10, r.below(20) - 10];
    case 27:
      return [
        'SETRANGE',
        key,
        pick(r, [0, 1, 5, 20, 100, -1, 'x', 536_870_911, '9223372036854775807']),
        pick(r, ['', 'abc', '0123456789']),
      ];
    case 28:
      return ['STRLEN', key];
    case 29:
      return [
        'LCS',
        pick(r, ['lcs1', 'lcs2', 'lcs3', key]),
        pick(r, ['lcs1', 'lcs2', 'nokey', 'other']),
        ...lcsOptions(r),
      ];
    case 30:
      return [
        'SET',
        pick(r, ['lcs1', 'lcs2', 'lcs3']),
        Uint8Array.from({ length: r.below(40) }, () => 97 + r.below(4)),
      ];
    case 31:
      return ['OBJECT', 'ENCODING', key];
    case 32:
      return pick(r, [
        ['SET', 'abs', 'v', ...expiry(r, 'abs')],
        ['GETEX', 'abs', ...getexOptions(r, 'abs')],
        ['SET', 'abs', 'w', 'KEEPTTL'],
        ['PEXPIRETIME', 'abs'],
      ]);
    case 33:
      return ['TTL', key];
    case 34:
      return ['DEL', ...keys(r)];
    case 35:
    case 36:
      return ['EXPIRETIME', 'abs'];
    default:
      // Too few or too many arguments.
      return [
        pick(r, ['SET', 'GET', 'INCR', 'APPEND', 'MSET', 'LCS', 'GETEX', 'SETRANGE']),
        ...keys(r).slice(0, r.below(4)),
      ];
  }
}

/**
 * Random hash commands over a few keys, for differential tests: ordinary, at the edges, and wrong. `other` is for a key of
 * another type that the test makes.
 *
 * The commands of HASH_UNORDERED and HASH_UNORDERED_PAIRS reply in free order, as long as a hash is a table. HRANDFIELD only
 * takes all fields or none, and HSCAN asks for all at once, so that nothing hangs on what is drawn.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

/** All keys that hold hashes, to be read back at the end of a stream. */
export const HASH_KEYS = ['h1', 'h2', 'h3', '{h}4'];
export const HASH_UNORDERED = ['hkeys', 'hvals', 'hscan', 'hrandfield'];
export const HASH_UNORDERED_PAIRS = ['hgetall'];
/** Names of the commands, in lower case. */
export const HASH_COMMANDS = [
  'hdel',
  'hexists',
  'hget',
  'hgetall',
  'hincrby',
  'hincrbyfloat',
  'hkeys',
  'hlen',
  'hmget',
  'hmset',
  'hrandfield',
  'hscan',
  'hset',
  'hsetnx',
  'hstrlen',
  'hvals',
];

const INTEGERS = [
  '0',
  '1',
  '-1',
  '100',
  '9007199254740991',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
];
const NOT_INTEGERS = ['', 'x', '01', '-0', '+1', ' 1', '1.5', '1e3', '9223372036854775808'];
const FLOATS = ['0.1', '-0.1', '3.0', '1e3', '5e-18', '1.5e300', '0x1p-3', '.5', '-7.25', '1e17', '1e4000'];
const NOT_FLOATS = ['inf', '-inf', 'nan', 'abc', '', ' 1', '1e5000', '+inf'];
const LONG_LENGTHS = [63, 64, 65, 200, 254, 255, 256, 4000];

function key(r: Random): Arg {
  const kind = r.below(24);
  if (kind === 0) return 'other';
  return kind === 1 ? 'nokey' : pick(r, HASH_KEYS);
}

function field(r: Random): Arg {
  const kind = r.below(40);
  if (kind === 0) return '';
  if (kind === 1) return 'f'.repeat(pick(r, LONG_LENGTHS)) + r.below(2);
  if (kind === 2) return Uint8Array.of(r.below(256), r.below(2) * 255);
  if (kind < 6) return pick(r, ['n1', 'n2', 'n3', 'd1', 'd2']);
  return kind < 26 ? `f:${r.below(16)}` : `f:${r.below(600)}`;
}

function value(r: Random): Arg {
  const kind = r.below(24);
  if (kind < 5) return pick(r, INTEGERS);
  if (kind < 7) return pick(r, NOT_INTEGERS);
  if (kind < 10) return pick(r, FLOATS);
  if (kind === 10) return 'v'.repeat(pick(r, LONG_LENGTHS));
  if (kind === 11) return Uint8Array.from({ length: r.below(40) }, () => r.below(256));
  return 'abcdefghij'.repeat(6).slice(0, r.below(20));
}

function pairs(r: Random): Arg[] {
  const out: Arg[] = [];
  const kind = r.below(14);
  for (let n = kind < 10 ? r.below(3) : kind < 13 ? r.below(20) : r.below(300); n >= 0; n--)
    out.push(field(r), value(r));
  if (r.below(30) === 0) out.pop();
  return out;
}

function fields(r: Random): Arg[] {
  const out: Arg[] = [];
  for (let n = r.below(r.below(4) === 0 ? 40 : 3); n >= 0; n--) out.push(field(r));
  return out;
}

function number(r: Random): Arg[] {
  const at = pick(r, ['n1', 'n2', 'n3', 'n4', 'n5', r.below(6) === 0 ? 'f:1' : 'n1']);
  if (r.below(2) === 0) {
    const kind = r.below(12);
    return [
      'HINCRBY',
      key(r),
      at,
      kind === 0 ? pick(r, NOT_INTEGERS) : kind < 3 ? pick(r, INTEGERS) : r.below(2000) - 1000,
    ];
  }
  const kind = r.below(12);
  const place = r.below(3) === 0 ? at : pick(r, ['d1', 'd2', 'd3', 'd4']);
  const amount =
    kind === 0 ? pick(r, NOT_FLOATS) : kind < 5 ? pick(r, FLOATS) : (r.below(2_000_000) - 1_000_000) / 1000;
  return ['HINCRBYFLOAT', key(r), place, amount];
}

function draw(r: Random): Arg[] {
  if (r.below(2) === 0) {
    const options = r.below(3) === 0 ? ['MATCH', pick(r, ['f:*', '*', 'n?', 'f:?', ''])] : [];
    const cursor: Arg = r.below(12) === 0 ? pick(r, ['x', '']) : 0;
    return ['HSCAN', key(r), cursor, ...options, 'COUNT', r.below(16) === 0 ? pick(r, ['0', 'x', '-5']) : 100_000];
  }
  const counts = ['100000', '0', 'x', '-0', '9223372036854775807', '-9223372036854775808', '9223372036854775808'];
  const tail = r.below(2) === 0 ? [] : [pick(r, ['WITHVALUES', 'withvalues', r.below(4) === 0 ? 'FOO' : 'WithValues'])];
  return r.below(8) === 0
    ? ['HRANDFIELD', pick(r, ['nowhere', 'other'])]
    : ['HRANDFIELD', key(r), pick(r, counts), ...tail];
}

export function hashCommand(r: Random): Arg[] {
  const kind = r.below(40);
  const at = key(r);
  if (kind < 9) return ['HSET', at, ...pairs(r)];
  if (kind < 11) return ['HSETNX', at, field(r), value(r)];
  if (kind < 12) return ['HMSET', at, ...pairs(r)];
  if (kind < 17) return ['HDEL', at, ...fields(r)];
  if (kind < 22) return number(r);
  if (kind < 24) return draw(r);
  switch (kind) {
    case 24:
    case 25:
    case 26:
      return ['HGET', at, field(r)];
    case 27:
      return ['HMGET', at, ...fields(r)];
    case 28:
      return ['HGETALL', at];
    case 29:
      return ['HKEYS', at];
    case 30:
      return ['HVALS', at];
    case 31:
      return ['HLEN', at];
    case 32:
      return ['HSTRLEN', at, field(r)];
    case 33:
      return ['HEXISTS', at, field(r)];
    case 34:
    case 35:
      return ['OBJECT', 'ENCODING', pick(r, HASH_KEYS)];
    case 36:
      return r.below(2) === 0 ? ['DEL', pick(r, HASH_KEYS)] : ['COPY', at, pick(r, HASH_KEYS), 'REPLACE'];
    case 37:
      return r.below(2) === 0 ? ['RENAME', pick(r, HASH_KEYS), pick(r, HASH_KEYS)] : ['TYPE', at];
    case 38:
      return r.below(3) === 0
        ? ['PEXPIREAT', pick(r, HASH_KEYS), pick(r, [1, 4_000_000_000_000])]
        : ['PEXPIRETIME', at];
    default:
      // Too few or too many arguments.
      return [
        pick(
          r,
          HASH_COMMANDS.filter((name) => !['hrandfield', 'hscan'].includes(name)),
        ),
        ...Array.from({ length: r.below(6) }, () => pick(r, ['h1', '1', 'f:1'])),
      ];
  }
}

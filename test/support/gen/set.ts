/**
 * Random set commands over a few keys, for differential tests: ordinary, at the edges, and wrong. Some keys have hardly
 * anything but integers. `other` is for a key of another type that the test makes.
 *
 * The commands of SET_UNORDERED reply in free order. SPOP and SRANDMEMBER only take all members or none, and SSCAN asks for
 * all at once, so that nothing hangs on what is drawn.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

const INTEGER_KEYS = ['i1', 'i2', '{s}i3'];
const MIXED_KEYS = ['s1', 's2', 's3', '{s}4'];
/** All keys that hold sets, to be read back at the end of a stream. */
export const SET_KEYS = [...INTEGER_KEYS, ...MIXED_KEYS];
export const SET_UNORDERED = ['smembers', 'sinter', 'sunion', 'sdiff', 'spop', 'srandmember', 'sscan'];
/** Names of the commands, in lower case. */
export const SET_COMMANDS = [
  'sadd',
  'scard',
  'sdiff',
  'sdiffstore',
  'sinter',
  'sintercard',
  'sinterstore',
  'sismember',
  'smembers',
  'smismember',
  'smove',
  'spop',
  'srandmember',
  'srem',
  'sscan',
  'sunion',
  'sunionstore',
];

const WIDE_INTEGERS = [
  '32767',
  '32768',
  '-32768',
  '-32769',
  '2147483647',
  '2147483648',
  '-2147483648',
  '-2147483649',
  '4294967295',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '-9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
];
const NEARLY_INTEGERS = ['-0', '+1', '01', ' 1', '1 ', '1.0', '-', '9223372036854775808', '-9223372036854775809', ''];
const LONG_LENGTHS = [63, 64, 65, 200, 254, 255, 256, 5000];

function key(r: Random): Arg {
  const kind = r.below(30);
  if (kind === 0) return 'other';
  if (kind < 3) return 'nokey';
  return kind < 14 ? pick(r, INTEGER_KEYS) : pick(r, MIXED_KEYS);
}

/** Where sets are stored. */
function destination(r: Random): Arg {
  return r.below(30) === 0 ? 'other2' : pick(r, SET_KEYS);
}

function integer(r: Random): Arg {
  const kind = r.below(12);
  if (kind === 0) return pick(r, WIDE_INTEGERS);
  return kind < 4 ? r.below(1000) - 500 : r.below(24) - 4;
}

export function setMember(r: Random): Arg {
  const kind = r.below(24);
  if (kind === 0) return pick(r, NEARLY_INTEGERS);
  if (kind === 1) return 'x'.repeat(pick(r, LONG_LENGTHS)) + r.below(2);
  if (kind === 2) return Uint8Array.of(r.below(256), r.below(2) * 255);
  if (kind < 8) return integer(r);
  return kind < 20 ? `m:${r.below(16)}` : `m:${r.below(400)}`;
}

function memberFor(r: Random, at: Arg): Arg {
  return INTEGER_KEYS.includes(String(at)) && r.below(120) > 0 ? integer(r) : setMember(r);
}

function members(r: Random, at: Arg): Arg[] {
  const out: Arg[] = [];
  const kind = r.below(12);
  for (let n = kind < 8 ? r.below(4) : kind < 11 ? r.below(30) : r.below(200); n >= 0; n--) out.push(memberFor(r, at));
  return out;
}

function keys(r: Random): Arg[] {
  const out: Arg[] = [];
  for (let n = r.below(4); n >= 0; n--) out.push(key(r));
  return out;
}

function intercard(r: Random): Arg[] {
  const sources = keys(r);
  const kind = r.below(20);
  const numkeys: Arg =
    kind === 0 ? pick(r, ['0', '-1', 'x', '9223372036854775807']) : sources.length + (kind === 1 ? 1 : 0);
  const limit: Arg = r.below(8) === 0 ? pick(r, ['-1', 'x', '9223372036854775807']) : r.below(8);
  return [
    'SINTERCARD',
    numkeys,
    ...sources,
    ...(r.below(2) === 0 ? ['limit', limit] : []),
    ...(r.below(20) === 0 ? [pick(r, ['FOO', 'LIMIT'])] : []),
  ];
}

function combine(r: Random): Arg[] {
  const operation = pick(r, ['SINTER', 'SUNION', 'SDIFF', 'SDIFF', 'SUNION']);
  if (r.below(2) === 0) return [operation, ...keys(r)];
  return [`${operation}STORE`, destination(r), ...keys(r)];
}

function draw(r: Random): Arg[] {
  const kind = r.below(8);
  if (kind < 3) {
    const options = r.below(3) === 0 ? ['MATCH', pick(r, ['m:*', '*', '[1-9]', 'm:?', '-*'])] : [];
    const cursor: Arg = r.below(12) === 0 ? pick(r, ['x', '']) : 0;
    return ['SSCAN', key(r), cursor, ...options, 'COUNT', r.below(16) === 0 ? pick(r, ['0', 'x', '-5']) : 100_000];
  }
  const counts = ['100000', '0', '100000', 'x', '-0', '9223372036854775807'];
  if (kind < 5) return ['SPOP', key(r), pick(r, [...counts, '-1', '-9223372036854775808'])];
  if (kind === 5) return [pick(r, ['SPOP', 'SRANDMEMBER']), pick(r, ['nowhere', 'other'])];
  return ['SRANDMEMBER', key(r), pick(r, [...counts, '-9223372036854775808', '9223372036854775808'])];
}

export function setCommand(r: Random): Arg[] {
  const kind = r.below(40);
  const at = key(r);
  if (kind < 11) return ['SADD', at, ...members(r, at)];
  if (kind < 15) return ['SREM', at, ...members(r, at)];
  if (kind < 18) return ['SMOVE', at, destination(r), memberFor(r, at)];
  if (kind < 25) return combine(r);
  if (kind < 27) return intercard(r);
  if (kind < 29) return draw(r);
  switch (kind) {
    case 29:
    case 30:
      return ['SISMEMBER', at, memberFor(r, at)];
    case 31:
      return ['SMISMEMBER', at, ...members(r, at)];
    case 32:
      return ['SMEMBERS', at];
    case 33:
      return ['SCARD', at];
    case 34:
    case 35:
      return ['OBJECT', 'ENCODING', pick(r, SET_KEYS)];
    case 36:
      return r.below(2) === 0 ? ['DEL', destination(r)] : ['COPY', at, pick(r, SET_KEYS), 'REPLACE'];
    case 37:
      return r.below(2) === 0 ? ['RENAME', pick(r, SET_KEYS), pick(r, SET_KEYS)] : ['TYPE', at];
    case 38:
      return r.below(3) === 0 ? ['PEXPIREAT', pick(r, SET_KEYS), pick(r, [1, 4_000_000_000_000])] : ['PEXPIRETIME', at];
    default:
      // Too few or too many arguments.
      return [
        pick(
          r,
          SET_COMMANDS.filter((name) => !['spop', 'srandmember', 'sscan'].includes(name)),
        ),
        ...Array.from({ length: r.below(5) }, () => pick(r, ['s1', '1', 'm:1'])),
      ];
  }
}

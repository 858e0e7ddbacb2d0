/**
 * Random sorted set commands over a few keys, for differential tests: ordinary, at the edges, and wrong. Some keys, the
 * lexicographic ones, have only scores of 0: on others Redis promises nothing for ranges of members. `other` is for a key
 * of another type that the test makes, `s1` and `s2` for sets.
 *
 * ZRANDMEMBER and ZSCAN reply in free order; the first only draws all members or none, the second scans all at once.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

const SCORED_KEYS = ['z1', 'z2', 'z3', '{z}4'];
const LEX_KEYS = ['lex1', '{z}lex2'];
/** All keys that hold sorted sets, to be read back at the end of a stream. */
export const ZSET_KEYS = [...SCORED_KEYS, ...LEX_KEYS];
export const ZSET_UNORDERED = ['zrandmember', 'zscan'];

const SCORES = [
  '0',
  '-0',
  '1',
  '1',
  '2',
  '-1',
  '3.1',
  '0.1',
  '1e20',
  '-1e-7',
  '123456789012345680',
  '12345678901234567',
];
const EXTREME_SCORES = [
  'inf',
  '-inf',
  '+inf',
  'Infinity',
  '1.7976931348623157e308',
  '5e-324',
  '0x10',
  '1e3',
  '.5',
  '7.',
  '+3',
];
const WRONG_SCORES = ['', 'x', 'nan', '1e400', '1e-400', ' 1', '1 ', '1x', '(1', '.', '-', '0x', '1e', '--1', 'infin'];
const WRONG_INTEGERS = ['x', '', '1.5', '9223372036854775808', ' 1', '01', '-0', '+1'];
const LARGE_INTEGERS = ['9223372036854775807', '-9223372036854775808', '2147483648', '-9007199254740993'];
const LEX_BOUNDS = ['-', '+', '[a', '(a', '[m:2', '(m:2', '[m:5', '(m:50', '[', '(', '[zz', '(\u00ff'];
const WRONG_LEX_BOUNDS = ['', 'a', '++', '-1', '{a', ')a'];
const LONG_LENGTHS = [63, 64, 65, 200, 254, 255, 256, 300];

function key(r: Random): Arg {
  const kind = r.below(24);
  if (kind === 0) return 'other';
  if (kind === 1) return 'nokey';
  if (kind === 2) return 's1';
  return kind < 6 ? pick(r, LEX_KEYS) : pick(r, SCORED_KEYS);
}

function lexKey(r: Random): Arg {
  return r.below(12) === 0 ? pick(r, ['other', 'nokey']) : pick(r, LEX_KEYS);
}

/** Where scores are written: not a lexicographic key, and not `other`, which stays what it is. */
function destination(r: Random): Arg {
  return r.below(20) === 0 ? 's1' : pick(r, SCORED_KEYS);
}

function member(r: Random): Arg {
  const kind = r.below(30);
  if (kind === 0) return '';
  if (kind === 1) return 'x'.repeat(pick(r, LONG_LENGTHS)) + r.below(2);
  if (kind === 2) return Uint8Array.of(r.below(256), r.below(2) * 255);
  if (kind < 15) return `m:${r.below(12)}`;
  return kind < 22 ? `m:${r.below(300)}` : String.fromCharCode(97 + r.below(26));
}

function score(r: Random): Arg {
  const kind = r.below(60);
  if (kind === 0) return pick(r, WRONG_SCORES);
  if (kind < 4) return pick(r, EXTREME_SCORES);
  if (kind < 14) return pick(r, SCORES);
  if (kind < 24) return (r.below(2_000_000) - 1_000_000) / 1000;
  return r.below(20);
}

function scoreBound(r: Random): Arg {
  const kind = r.below(20);
  if (kind === 0) return pick(r, WRONG_SCORES);
  if (kind === 1) return pick(r, ['-inf', '(-inf', '', '(', ' 2', '( 2', '1e400', '(1e-400', '1\0x']);
  if (kind < 6) return pick(r, ['-inf', '+inf', '(inf', 'inf']);
  return r.below(3) === 0 ? `(${score(r)}` : score(r);
}

function lexBound(r: Random): Arg {
  if (r.below(20) === 0) return pick(r, WRONG_LEX_BOUNDS);
  if (r.below(3) === 0) return `${pick(r, ['[', '('])}${member(r)}`;
  return pick(r, LEX_BOUNDS);
}

function integer(r: Random): Arg {
  const kind = r.below(30);
  if (kind === 0) return pick(r, WRONG_INTEGERS);
  if (kind === 1) return pick(r, LARGE_INTEGERS);
  return kind < 10 ? r.below(600) - 300 : r.below(12) - 4;
}

function word(r: Random, text: string): string {
  return r.below(4) === 0 ? text : text.toUpperCase();
}

function times(r: Random, limit: number, make: () => Arg[]): Arg[] {
  const out: Arg[] = [];
  for (let n = r.below(limit); n >= 0; n--) out.push(...make());
  return out;
}

function addOptions(r: Random): Arg[] {
  if (r.below(2) === 0) return [];
  return times(r, 2, () => [word(r, pick(r, ['nx', 'xx', 'gt', 'lt', 'ch', 'incr', 'ch', 'gt', 'lt']))]);
}

function limit(r: Random): Arg[] {
  const kind = r.below(20);
  if (kind === 0) return ['LIMIT', integer(r)];
  return kind < 8 ? [word(r, 'limit'), integer(r), integer(r)] : [];
}

function withScores(r: Random): Arg[] {
  const kind = r.below(20);
  if (kind === 0) return ['FOO'];
  return kind < 10 ? [word(r, 'withscores')] : [];
}

function shuffled(r: Random, parts: Arg[][]): Arg[] {
  const left = [...parts];
  const out: Arg[] = [];
  while (left.length > 0) out.push(...left.splice(r.below(left.length), 1)[0]);
  return out;
}

function add(r: Random): Arg[] {
  if (r.below(8) === 0) return ['ZADD', lexKey(r), ...times(r, 40, () => [0, member(r)])];
  const odd = r.below(40) === 0 ? ['x'] : [];
  return [
    'ZADD',
    r.below(30) === 0 ? 'other' : destination(r),
    ...addOptions(r),
    ...times(r, r.below(3) === 0 ? 40 : 3, () => [score(r), member(r)]),
    ...odd,
  ];
}

function range(r: Random, command: string, at: Arg[], scores: boolean): Arg[] {
  const rev = r.below(2) === 0 ? [[word(r, 'rev')]] : [];
  const tail = scores ? [withScores(r)] : [];
  switch (r.below(4)) {
    case 0:
      return [command, ...at, lexKey(r), lexBound(r), lexBound(r), ...shuffled(r, [['BYLEX'], limit(r), ...rev])];
    case 1:
    case 2:
      return [
        command,
        ...at,
        key(r),
        scoreBound(r),
        scoreBound(r),
        ...shuffled(r, [[word(r, 'byscore')], limit(r), ...rev, ...tail]),
      ];
    default:
      return [
        command,
        ...at,
        key(r),
        integer(r),
        integer(r),
        ...shuffled(r, [limit(r).slice(0, r.below(9)), ...rev, ...tail]),
      ];
  }
}

function sources(r: Random): Arg[] {
  const keys = times(r, 4, () => [r.below(4) === 0 ? pick(r, ['s1', 's2', 'nokey']) : key(r)]);
  const kind = r.below(30);
  return [kind === 0 ? integer(r) : kind === 1 ? keys.length + 1 : keys.length, ...keys];
}

function combineOptions(r: Random, keys: Arg[], scores: boolean): Arg[] {
  const parts: Arg[][] = [];
  const weights = keys.slice(1 + r.below(12 === keys.length ? 2 : 1)).map(() => score(r));
  if (r.below(3) === 0) parts.push([word(r, 'weights'), ...weights]);
  if (r.below(3) === 0) parts.push([word(r, 'aggregate'), pick(r, ['SUM', 'min', 'MAX', 'sum', 'avg'])]);
  if (scores) parts.push(withScores(r));
  if (r.below(30) === 0) parts.push(['FOO']);
  return shuffled(r, parts);
}

function combine(r: Random): Arg[] {
  const operation = pick(r, ['ZUNION', 'ZINTER', 'ZDIFF']);
  const keys = sources(r);
  if (r.below(8) === 0) return ['ZINTERCARD', ...keys, ...(r.below(2) === 0 ? [] : [word(r, 'limit'), integer(r)])];
  const plain = operation === 'ZDIFF' && r.below(10) > 0;
  if (r.below(2) === 0) {
    return [`${operation}STORE`, destination(r), ...keys, ...(plain ? [] : combineOptions(r, keys, r.below(20) === 0))];
  }
  return [operation, ...keys, ...(plain ? withScores(r) : combineOptions(r, keys, true))];
}

function remove(r: Random): Arg[] {
  switch (r.below(5)) {
    case 0:
      return ['ZREMRANGEBYRANK', key(r), integer(r), integer(r)];
    case 1:
      return ['ZREMRANGEBYSCORE', key(r), scoreBound(r), scoreBound(r)];
    case 2:
      return ['ZREMRANGEBYLEX', lexKey(r), lexBound(r), lexBound(r)];
    default:
      return ['ZREM', key(r), ...times(r, 6, () => [member(r)])];
  }
}

function pop(r: Random): Arg[] {
  const count = r.below(3) > 0 ? [] : [integer(r)];
  if (r.below(3) > 0) return [pick(r, ['ZPOPMIN', 'zpopmax']), key(r), ...count, ...(r.below(40) === 0 ? [1] : [])];
  const tail = r.below(2) === 0 ? [] : ['COUNT', integer(r), ...(r.below(20) === 0 ? ['COUNT', 1] : [])];
  return ['ZMPOP', ...sources(r), pick(r, ['MIN', 'max', 'MAX', 'FOO', 'min']), ...tail];
}

function draw(r: Random): Arg[] {
  if (r.below(2) === 0) {
    const options = shuffled(r, [
      r.below(3) === 0 ? ['MATCH', pick(r, ['m:*', '*', '[ab]', 'm:?'])] : [],
      ['COUNT', 100000],
    ]);
    return ['ZSCAN', key(r), 0, ...(r.below(20) === 0 ? ['COUNT', pick(r, [0, -1, 'x'])] : options)];
  }
  const count = pick<Arg>(r, [
    100000,
    100000,
    0,
    'x',
    '9223372036854775807',
    '-9223372036854775808',
    '9223372036854775808',
  ]);
  return ['ZRANDMEMBER', key(r), count, ...withScores(r)];
}

export function zsetCommand(r: Random): Arg[] {
  const kind = r.below(40);
  if (kind < 11) return add(r);
  if (kind < 13) return ['ZINCRBY', destination(r), r.below(40) === 0 ? pick(r, ['NX', 'XX']) : score(r), member(r)];
  if (kind < 15) return remove(r);
  if (kind < 17) return pop(r);
  if (kind < 18) return draw(r);
  if (kind < 22) return combine(r);
  if (kind < 25) return range(r, 'ZRANGE', [], true);
  if (kind < 27) return range(r, 'ZRANGESTORE', [destination(r)], r.below(20) === 0);
  const tail = r.below(2) === 0 ? withScores(r) : limit(r);
  switch (kind) {
    case 27:
      return ['ZRANGEBYSCORE', key(r), scoreBound(r), scoreBound(r), ...tail];
    case 28:
      return ['ZREVRANGEBYSCORE', key(r), scoreBound(r), scoreBound(r), ...tail];
    case 29:
      return ['ZRANGEBYLEX', lexKey(r), lexBound(r), lexBound(r), ...tail];
    case 30:
      return ['ZREVRANGEBYLEX', lexKey(r), lexBound(r), lexBound(r), ...tail];
    case 31:
      return ['ZREVRANGE', key(r), integer(r), integer(r), ...tail];
    case 32:
      return ['ZCOUNT', key(r), scoreBound(r), scoreBound(r)];
    case 33:
      return ['ZLEXCOUNT', lexKey(r), lexBound(r), lexBound(r)];
    case 34:
      return [pick(r, ['ZRANK', 'zrevrank']), key(r), member(r)];
    case 35:
      return ['ZMSCORE', key(r), ...times(r, 5, () => [member(r)])];
    case 36:
      return ['OBJECT', 'ENCODING', pick(r, ZSET_KEYS)];
    case 37:
      return r.below(3) === 0 ? ['DEL', pick(r, ZSET_KEYS)] : ['ZCARD', key(r)];
    case 38:
      return r.below(3) === 0 ? ['COPY', key(r), pick(r, SCORED_KEYS), 'REPLACE'] : ['ZSCORE', key(r), member(r)];
    default:
      return r.below(3) === 0
        ? ['PEXPIREAT', pick(r, ZSET_KEYS), pick(r, [1, 4_000_000_000_000])]
        : ['ZSCORE', key(r), member(r)];
  }
}

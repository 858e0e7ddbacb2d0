/**
 * Random commands of every kind over the same few keys, for tests of a whole server: those of the generators beside this
 * file, and now and then one with its keys exchanged for those of another type.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { type Comparison, decode } from '../replies.ts';
import { bitmapCommand } from './bitmap.ts';
import { blockingCommand } from './blocking.ts';
import { GENERIC_KEYS, GENERIC_UNORDERED, genericCommand } from './generic.ts';
import { geoCommand } from './geo.ts';
import { HASH_KEYS, HASH_UNORDERED, HASH_UNORDERED_PAIRS, hashCommand } from './hash.ts';
import { LIST_KEYS, listCommand } from './list.ts';
import { SET_KEYS, SET_UNORDERED, setCommand } from './set.ts';
import { sortCommand } from './sort.ts';
import { STREAM_KEYS, streamCommand } from './stream.ts';
import { pick, STRING_KEYS, stringCommand } from './string.ts';
import { ZSET_UNORDERED, zsetCommand } from './zset.ts';

export type Generator = (r: Random) => Arg[];

export const GENERATORS: Record<string, Generator> = {
  string: stringCommand,
  bitmap: bitmapCommand,
  generic: genericCommand,
  list: listCommand,
  hash: hashCommand,
  set: setCommand,
  zset: zsetCommand,
  stream: streamCommand,
  geo: geoCommand,
  sort: sortCommand,
};
const ALL = Object.values(GENERATORS);

/** Replies whose elements come in any order. */
export const COMPARISON: Comparison = {
  unordered: [...GENERIC_UNORDERED, ...HASH_UNORDERED, ...SET_UNORDERED, ...ZSET_UNORDERED],
  unorderedPairs: HASH_UNORDERED_PAIRS,
  alike: sameButForSort,
  before: forgetRangeError,
};

/** Keys that any command may be given: all but the lexicographic sorted sets, whose scores have to stay equal. */
const SHARED_KEYS = [
  ...new Set([
    ...STRING_KEYS,
    ...GENERIC_KEYS,
    ...LIST_KEYS,
    ...HASH_KEYS,
    ...SET_KEYS,
    ...STREAM_KEYS,
    'z1',
    'z2',
    '{z}4',
    'b1',
    'b2',
  ]),
];
const LEX_KEYS = ['lex1', '{z}lex2'];

/** One command of any generator. */
export function anyCommand(r: Random): Arg[] {
  if (r.below(60) === 0) return [pick(r, ['PTTL', 'TTL', 'PEXPIRETIME', 'EXPIRETIME']), pick(r, SHARED_KEYS)];
  if (r.below(80) === 0) return blockingCommand(r);
  for (;;) {
    const command = pick(r, ALL)(r);
    const exchanged = r.below(12) === 0 && !isGeo(command) ? withOtherKey(r, command) : command;
    if (isDetermined(exchanged)) return exchanged;
  }
}

function isGeo(command: readonly Arg[]): boolean {
  return /^geo/i.test(String(command[0]));
}

/** The same with another key in its first key's place. */
function withOtherKey(r: Random, command: Arg[]): Arg[] {
  const at = command.findIndex((arg, i) => i > 0 && SHARED_KEYS.includes(String(arg)) && arg !== '');
  return at < 0 ? command : [...command.slice(0, at), pick(r, SHARED_KEYS), ...command.slice(at + 1)];
}

/**
 * Whether Redis promises one reply. Ranges by member need equal scores; SORT leaves a set that is not to be sorted, and
 * ties under BY with ALPHA, in any order; ALPHA without STORE compares up to a NUL byte only; and one element is drawn.
 */
function isDetermined(command: Arg[]): boolean {
  const words = command.map((arg) => String(arg).toLowerCase());
  if (words.some((word) => word.endsWith('lex'))) return command.some((arg) => LEX_KEYS.includes(String(arg)));
  // Other scores than those of places give equal distances.
  if (isGeo(command) && (words.includes('other') || words.includes('nokey'))) return false;
  if (words.length === 2 && /^(spop|.randmember|hrandfield)$/.test(words[0])) return false;
  if (!words[0].startsWith('sort')) return true;
  if (words.includes('alpha') && (words.includes('by') || !words.includes('store'))) return false;
  return words.every((word, i) => word !== 'by' || words[i + 1]?.includes('*'));
}

/**
 * SORT makes a sorted set a skiplist in Redis, though it only reads it; here it stays as it is. A skiplist can hold a
 * score of -0, which a listpack cannot, and ZSCAN prints the two's scores differently.
 */
function sameButForSort(command: readonly Arg[], ours: string, theirs: string): boolean {
  const name = String(command[0]).toLowerCase();
  const encodings = ['$8\r\nlistpack\r\n', '$8\r\nskiplist\r\n'];
  if (name === 'object') return encodings.includes(ours) && encodings.includes(theirs);
  if (name === 'zscan' || name === 'zrandmember') return plainNumbers(ours) === plainNumbers(theirs);
  return name.startsWith('z') && withoutNegativeZero(ours) === withoutNegativeZero(theirs);
}

/** All that a reply holds, in a fixed order, numbers as JavaScript prints them. */
function plainNumbers(reply: string): string {
  const leaves = [decode(reply)].flat(2).map((leaf) => String(leaf));
  return leaves
    .map((leaf) => (leaf === '' || Number.isNaN(Number(leaf)) ? leaf : String(Number(leaf) + 0)))
    .sort()
    .join('\n');
}

function withoutNegativeZero(reply: string): string {
  return reply.replaceAll('$2\r\n-0\r\n', '$1\r\n0\r\n').replaceAll(',-0\r\n', ',0\r\n');
}

/**
 * SORT in Redis reads `errno` without having cleared it, and so may refuse good numbers after a bad one long before.
 * Reading any score clears it.
 */
function forgetRangeError(command: readonly Arg[]): Arg[] | undefined {
  return /^sort/i.test(String(command[0])) ? ['zadd', 'nosuchkey', 'xx', '1', 'm'] : undefined;
}

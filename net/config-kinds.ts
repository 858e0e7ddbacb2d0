/**
 * The kinds of values a configuration option can have: how each is read, printed and written into a file. The error
 * texts are the ones redis-server 7.0.15 gives, because CONFIG SET hands them to the client. Main thread, cold code.
 */
import { parseDouble } from '../engine/request.ts';

/**
 * What reading gives: the value and the text by which CONFIG GET shows it, or the reason why not. `refused` tells a value
 * that is well written but cannot be had from one that is not what the option takes.
 */
export type Parsed<V> = { value: V; text: string } | { error: string; refused?: boolean };

export interface Kind<V> {
  /** What the option takes, for --help and for the line about a bad value. */
  readonly takes: string;
  /** Whether several words may follow the name in a file. */
  readonly many: boolean;
  /** Reads the words behind the name; `current` is the value so far, of which some kinds replace only a part. */
  parse(words: readonly string[], current: V): Parsed<V>;
  /** The text of CONFIG GET. */
  format(value: V): string;
  /** The words of each line that CONFIG REWRITE writes for it. */
  lines(value: V): string[][];
}

/** A kind whose value is one word in one line. */
function single<V>(takes: string, parse: (word: string) => Parsed<V>, format: (value: V) => string): Kind<V> {
  return {
    takes,
    many: false,
    parse: (words) => parse(words[0]),
    format,
    lines: (value) => [[format(value)]],
  };
}

export const INT_MAX = 2147483647;
export const INT_MIN = -2147483648;
export const UINT_MAX = 4294967295;
export const INT64_MAX = 9223372036854775807n;
export const UINT64_MAX = 18446744073709551615n;
const INT64_MIN = -9223372036854775808n;

const STRICT_INTEGER = /^(0|-?[1-9]\d{0,18})$/;

function bounded(value: bigint, min: bigint | number, max: bigint | number): Parsed<number> {
  if (value < BigInt(min) || value > BigInt(max))
    return { error: `argument must be between ${min} and ${max} inclusive` };
  return { value: Number(value), text: String(value) };
}

/** A whole number, written as Redis wants it: no spaces, no plus sign, no leading zeros. */
export function int(min: bigint | number, max: bigint | number): Kind<number> {
  return single(
    `a whole number from ${min} to ${max}`,
    (word) => {
      const value = STRICT_INTEGER.test(word) ? BigInt(word) : UINT64_MAX;
      if (value > INT64_MAX || value < INT64_MIN) return { error: "argument couldn't be parsed into an integer" };
      return bounded(value, min, max);
    },
    String,
  );
}

const UNIT_BYTES = new Map<string, bigint>([
  ['', 1n],
  ['b', 1n],
  ['k', 1000n],
  ['kb', 1024n],
  ['m', 1000_000n],
  ['mb', 1024n ** 2n],
  ['g', 1000_000_000n],
  ['gb', 1024n ** 3n],
]);

/** A number of bytes with its unit; undefined when it is none. No digits at all mean 0, as in Redis. */
function parseBytes(word: string): bigint | undefined {
  const parts = /^(\d{0,127})([a-z]*)$/i.exec(word);
  const unit = parts === null ? undefined : UNIT_BYTES.get(parts[2].toLowerCase());
  if (parts === null || unit === undefined) return undefined;
  const count = BigInt(parts[1]);
  return count > UINT64_MAX / unit ? UINT64_MAX : count * unit;
}

/** A size in bytes: 1k is 1000, 1kb is 1024, and so on to gb. */
export function memory(min: bigint | number, max: bigint | number): Kind<number> {
  return single(
    `bytes (100, 64kb, 512mb, 2gb) from ${min} to ${max}`,
    (word) => {
      const value = parseBytes(word);
      return value === undefined ? { error: 'argument must be a memory value' } : bounded(value, min, max);
    },
    String,
  );
}

export function bool(): Kind<boolean> {
  return single<boolean>(
    'yes or no',
    (word) => {
      const text = word.toLowerCase();
      if (text !== 'yes' && text !== 'no') return { error: "argument must be 'yes' or 'no'" };
      return { value: text === 'yes', text };
    },
    (value) => (value ? 'yes' : 'no'),
  );
}

/** One of some words, in any case. */
export function oneOf<const Words extends readonly string[]>(words: Words): Kind<Words[number]> {
  return single<Words[number]>(
    words.join(', '),
    (word) => {
      const text = words.find((each) => each === word.toLowerCase());
      if (text === undefined) return { error: `argument(s) must be one of the following: ${words.join(', ')}` };
      return { value: text, text };
    },
    (value) => value,
  );
}

export function string(takes: string): Kind<string> {
  return single<string>(
    takes,
    (word) => ({ value: word, text: word }),
    (value) => value,
  );
}

/** Several words in one line; no words, or one empty word, are the empty list. */
export function words(takes: string, maxCount: number, tooMany: string): Kind<readonly string[]> {
  return {
    takes,
    many: true,
    parse(given) {
      const value = given.filter((word) => word !== '');
      return value.length > maxCount ? { error: tooMany } : { value, text: value.join(' ') };
    },
    format: (value) => value.join(' '),
    lines: (value) => [value.length === 0 ? [''] : [...value]],
  };
}

/** When a snapshot is due: so many seconds after the last one, if so many keys have changed. */
export interface SavePoint {
  seconds: number;
  changes: number;
}

/** Pairs of seconds and changes; one empty word is none. */
export function savePoints(): Kind<readonly SavePoint[]> {
  const pairs = (value: readonly SavePoint[]): string[][] =>
    value.map(({ seconds, changes }) => [String(seconds), String(changes)]);
  const format = (value: readonly SavePoint[]): string => pairs(value).flat().join(' ');
  return {
    takes: '<seconds> <changes>, once or more; "" is never',
    many: true,
    parse(given) {
      const value: SavePoint[] = [];
      if (given.length === 1 && given[0] === '') return { value, text: '' };
      const valid =
        given.length % 2 === 0 && given.every((word, i) => /^\d{0,15}$/.test(word) && (i % 2 === 1 || +word > 0));
      if (!valid) return { error: 'Invalid save parameters' };
      for (let i = 0; i < given.length; i += 2) value.push({ seconds: +given[i], changes: +given[i + 1] });
      return { value, text: format(value) };
    },
    format,
    lines: (value) => (value.length === 0 ? [['']] : pairs(value)),
  };
}

/** Percentiles between 0 and 100. */
export function percentiles(): Kind<readonly number[]> {
  const format = (value: readonly number[]): string => value.map((each) => Number(each.toFixed(6))).join(' ');
  return {
    takes: 'numbers from 0 to 100',
    many: true,
    parse(given) {
      const value: number[] = [];
      if (given.length === 1 && given[0] === '') return { value, text: '' };
      for (const word of given) {
        const bytes = Buffer.from(word);
        const number = parseDouble(bytes, 0, bytes.length);
        if (Number.isNaN(number)) return { error: 'Invalid latency-tracking-info-percentiles parameters' };
        if (number < 0 || number > 100) {
          return { error: 'latency-tracking-info-percentiles parameters should sit between [0.0,100.0]' };
        }
        value.push(number);
      }
      return { value, text: format(value) };
    },
    format,
    lines: (value) => [value.length === 0 ? [''] : value.map(String)],
  };
}

/** What may wait to be sent to a client: over `hardBytes` it is dropped at once, over `softBytes` after `softSeconds`; 0 is no limit. */
export interface OutputLimit {
  hardBytes: number;
  softBytes: number;
  softSeconds: number;
}

export interface OutputLimits {
  normal: OutputLimit;
  slave: OutputLimit;
  pubsub: OutputLimit;
}

const CLIENT_CLASSES = ['normal', 'slave', 'pubsub'] as const;

/** Groups of four words: a class of clients and its three limits. Classes that are not named keep theirs. */
export function outputLimits(): Kind<OutputLimits> {
  const groups = (value: OutputLimits): string[][] =>
    CLIENT_CLASSES.map((name) => {
      const limit = value[name];
      return [name, String(limit.hardBytes), String(limit.softBytes), String(limit.softSeconds)];
    });
  const format = (value: OutputLimits): string => groups(value).flat().join(' ');
  return {
    takes: '<normal|replica|pubsub> <hard bytes> <soft bytes> <soft seconds>, once or more',
    many: true,
    parse(given, current) {
      const value = { ...current };
      if (given.length === 1 && given[0] === '') return { value, text: format(value) };
      if (given.length % 4 !== 0) return { error: 'Wrong number of arguments in buffer limit configuration.' };
      for (let i = 0; i < given.length; i += 4) {
        const wanted = given[i].toLowerCase();
        const name = CLIENT_CLASSES.find((each) => each === (wanted === 'replica' ? 'slave' : wanted));
        if (name === undefined) return { error: 'Invalid client class specified in buffer limit configuration.' };
        const hard = parseBytes(given[i + 1]);
        const soft = parseBytes(given[i + 2]);
        if (hard === undefined || soft === undefined || !/^\+?\d{1,18}$/.test(given[i + 3])) {
          return { error: 'Error in hard, soft or soft_seconds setting in buffer limit configuration.' };
        }
        value[name] = { hardBytes: Number(hard), softBytes: Number(soft), softSeconds: Number(given[i + 3]) };
      }
      return { value, text: format(value) };
    },
    format,
    lines: groups,
  };
}

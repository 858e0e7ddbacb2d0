/**
 * Random stream commands over a few keys, for differential tests: ordinary, at the edges, and wrong. None replies in free
 * order. `other` is for a key of another type that the test makes.
 *
 * The replies of `XADD key *` would tell the time. So `streamCommand` makes every stream begin with an id far in the
 * future, after which `*` can only mean the next id, and uses `*` with NOMKSTREAM. `streamCommandAnyId` is without `*` and
 * with ids from 0-0 to the highest there is. Which entries there are follows from the generator's draws alone.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

/** Keys that stream commands write. */
export const STREAM_KEYS = ['x1', 'x2', 'x3', '{x}4'];
const READ_KEYS = [...STREAM_KEYS, 'x1', 'x1', 'other', 'nothing', ''];
export const STREAM_COMMANDS = ['XADD', 'XLEN', 'XRANGE', 'XREVRANGE', 'XREAD', 'XDEL', 'XTRIM', 'XSETID', 'XINFO'];

const FUTURE_MS = 9_000_000_000_000;
const HIGHEST = '18446744073709551615';
const BAD_IDS = [
  '',
  '-',
  '+',
  '*',
  '$',
  '>',
  '1-*',
  'x',
  '1-x',
  '-1',
  '1--1',
  '1-1-1',
  '1-',
  '18446744073709551616',
  '1-18446744073709551616',
  ' ',
  '1.5',
  `${'0'.repeat(130)}1`,
  '1\u0000x',
];
const ODD_IDS = ['007', ' 12', '+12', '12-+3', '12- 3', '12--0', `12- -${HIGHEST}`, '\t9-\n5', '3-0004', '5\u0000x'];
/** Rising. */
export const EXTREME_IDS = [
  '0-1',
  '0-127',
  '0-128',
  `0-${HIGHEST}`,
  '1',
  '1-16383',
  '1-16384',
  `1-${HIGHEST}`,
  '2',
  '129',
  '16385-2097151',
  '16386-268435456',
  '4294967295-4294967295',
  '4294967296-4294967296',
  '9007199254740993-9007199254740993',
  '9223372036854775807-9223372036854775808',
  HIGHEST,
  `${HIGHEST}-1`,
  `${HIGHEST}-18446744073709551614`,
  `${HIGHEST}-${HIGHEST}`,
];
/** What a listpack keeps in one more byte than the number before. */
const NUMBERS = [
  '0',
  '127',
  '128',
  '4095',
  '4096',
  '-1',
  '-4096',
  '-4097',
  '32767',
  '32768',
  '-32769',
  '8388607',
  '8388608',
  '-8388609',
  '2147483647',
  '2147483648',
  '-2147483648',
  '-2147483649',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775808',
  '-9223372036854775809',
  '00',
  '-0',
  '+1',
  '1.0',
  '12345678901234567890123',
];
const LENGTHS = [0, 1, 10, 62, 63, 64, 125, 126, 127, 128, 500, 2000, 4090, 4095, 4096, 4100, 16_000, 20_000];
const COUNTS = ['0', '1', '2', '5', '10', '100', '-1', 'x', '', '9223372036854775807', '9223372036854775808'];

/** Ids of one kind of stream. `next` mostly rises, `near` mostly hits an entry or its neighbourhood. */
interface Ids {
  next(r: Random): string;
  near(r: Random): string;
  /**
   * For XSETID: the lowest, which only an empty stream takes, or one above all there ever was. After one below entries that
   * were deleted, Redis puts new entries behind the marks of those, and trimming by MINID stops at a mark: nothing to be
   * held to.
   */
  last(r: Random): string;
}

/** Rises by a step now and then, so that entries have the same time, the next, or one further off. */
class Clock implements Ids {
  private ms: number;
  private readonly base: number;
  private readonly odd: readonly string[];

  constructor(base: number, odd: readonly string[]) {
    this.base = base;
    this.ms = base;
    this.odd = odd;
  }

  restart(): void {
    this.ms = this.base;
  }

  next(r: Random): string {
    const kind = r.below(40);
    if (kind === 0) return pick(r, this.odd);
    if (kind === 1) this.ms += r.below(1_000_000);
    else if (kind < 12) this.ms += r.below(3);
    if (kind < 24) return `${this.ms}-*`;
    if (kind < 30) return `${this.ms}-${r.below(10)}`;
    return kind < 32 ? String(this.ms + 1) : `${this.ms}-${r.below(400)}`;
  }

  last(r: Random): string {
    const kind = r.below(8);
    if (kind === 0) return `${this.base}-1`;
    if (kind === 1) return pick(r, REFUSED_IDS);
    this.ms += 2;
    return `${this.ms}-${r.below(3)}`;
  }

  near(r: Random): string {
    const kind = r.below(30);
    if (kind === 0) return pick(r, r.below(2) === 0 ? this.odd : EXTREME_IDS);
    if (kind === 1) return String(this.base + r.below(Math.max(1, this.ms - this.base + 2)));
    const ms = Math.max(this.base, this.ms - r.below(kind < 20 ? 8 : 60));
    return kind < 8 ? String(ms) : `${ms}-${r.below(kind < 24 ? 8 : 60)}`;
  }
}

/** Ids that XADD refuses: `*` among them would tell the time, and `1-*` begin a stream that does not. */
const REFUSED_IDS = BAD_IDS.filter((id) => id !== '*' && !id.startsWith('1-*') && !id.includes('\u0000'));

function badId(r: Random, ids: Ids): string {
  return r.below(25) === 0 ? pick(r, BAD_IDS) : ids.near(r);
}

function value(r: Random): Arg {
  const kind = r.below(24);
  if (kind < 10) return pick(r, ['v', 'xxx', '', 'value']);
  if (kind < 15) return pick(r, NUMBERS);
  if (kind < 20) return 'y'.repeat(r.below(100));
  if (kind < 22) return Uint8Array.from({ length: r.below(40) }, () => r.below(256));
  return r.below(6) === 0 ? 'z'.repeat(pick(r, LENGTHS)) : 'w'.repeat(pick(r, LENGTHS.slice(0, 11)));
}

function fields(r: Random): Arg[] {
  const kind = r.below(20);
  if (kind < 10) return ['f', value(r)];
  if (kind < 15) return ['field-one', value(r), 'field-two', value(r)];
  if (kind === 19) return ['f', value(r), 'odd'].slice(r.below(3));
  const out: Arg[] = [];
  for (let n = 1 + r.below(kind === 18 ? 20 : 3); n > 0; n--)
    out.push(kind === 17 ? value(r) : `f${r.below(4)}`, value(r));
  return out;
}

function trimming(r: Random, ids: Ids): Arg[] {
  const args: Arg[] = [];
  if (r.below(2) === 0) {
    args.push(pick(r, ['MAXLEN', 'maxlen']), ...pick(r, [[], ['='], ['~']]));
    args.push(r.below(20) === 0 ? pick(r, COUNTS) : r.below(r.below(2) === 0 ? 10 : 150));
  } else {
    args.push(pick(r, ['MINID', 'minid']), ...pick(r, [[], ['='], ['~']]), badId(r, ids));
  }
  const isApproximate = args[1] === '~';
  if (r.below(isApproximate ? 3 : 20) === 0) args.push('LIMIT', r.below(15) === 0 ? pick(r, COUNTS) : r.below(120));
  if (r.below(40) === 0) args.push(pick(r, ['MAXLEN', 'MINID', 'LIMIT', 'foo', 'NOMKSTREAM']));
  return args;
}

function add(r: Random, ids: Ids, canStar: boolean): Arg[] {
  const args: Arg[] = ['XADD', r.below(40) === 0 ? 'other' : pick(r, STREAM_KEYS)];
  const isStar = canStar && r.below(3) === 0;
  if (isStar || r.below(20) === 0) args.push(pick(r, ['NOMKSTREAM', 'nomkstream']));
  if (r.below(12) === 0) args.push(...trimming(r, ids));
  args.push(isStar ? '*' : r.below(40) === 0 ? pick(r, REFUSED_IDS) : ids.next(r), ...fields(r));
  return args;
}

function range(r: Random, ids: Ids): Arg[] {
  const reverse = r.below(2) === 0;
  const end = (edge: string): string => {
    const kind = r.below(12);
    if (kind < 4) return edge;
    return kind < 6 ? `(${badId(r, ids)}` : badId(r, ids);
  };
  const bounds = [end('-'), end('+')];
  if (reverse) bounds.reverse();
  const args: Arg[] = [reverse ? 'XREVRANGE' : 'XRANGE', pick(r, READ_KEYS), ...bounds];
  if (r.below(3) === 0) args.push('COUNT', r.below(4) === 0 ? pick(r, COUNTS) : r.below(30));
  if (r.below(60) === 0) args.push(pick(r, ['COUNT', 'x']));
  return args;
}

function read(r: Random, ids: Ids): Arg[] {
  const args: Arg[] = ['XREAD'];
  if (r.below(2) === 0) args.push('COUNT', r.below(8) === 0 ? pick(r, COUNTS) : r.below(20));
  if (r.below(40) === 0)
    args.push(...pick(r, [['NOACK'], ['GROUP', 'g', 'c'], ['x'], ['BLOCK', 'x'], ['BLOCK', '-1']]));
  args.push(pick(r, ['STREAMS', 'streams']));
  const count = 1 + r.below(3);
  for (let i = 0; i < count; i++) args.push(pick(r, READ_KEYS));
  for (let i = 0; i < count; i++) args.push(r.below(10) === 0 ? pick(r, ['$', '0', '>']) : badId(r, ids));
  if (r.below(40) === 0) args.pop();
  return args;
}

function command(r: Random, ids: Ids, canStar: boolean): Arg[] {
  const key = pick(r, READ_KEYS);
  switch (r.below(30)) {
    case 0:
    case 1:
    case 2:
      return range(r, ids);
    case 3:
      return read(r, ids);
    case 4:
    case 5:
      return ['XDEL', key, ...Array.from({ length: 1 + r.below(4) }, () => badId(r, ids))];
    case 6:
      return r.below(4) === 0 ? ['XTRIM', key, ...trimming(r, ids)] : ['XLEN', key];
    case 7:
      return r.below(3) > 0 ? ['XINFO', 'STREAM', key] : ['XINFO', 'STREAM', key, 'FULL', 'COUNT', r.below(20)];
    case 8: {
      if (r.below(5) > 0) return ['XLEN', key];
      const options = [
        ['ENTRIESADDED', pick(r, COUNTS)],
        ['MAXDELETEDID', badId(r, ids)],
        [],
        ['x'],
        ['entriesadded', 99],
      ];
      return ['XSETID', key, ids.last(r), ...pick(r, options), ...pick(r, options)];
    }
    case 9: {
      const kind = r.below(12);
      if (kind === 0) return ['PEXPIREAT', key, r.below(3) === 0 ? 1 : 4_000_000_000_000];
      if (kind === 1) return ['COPY', pick(r, STREAM_KEYS), pick(r, STREAM_KEYS), 'REPLACE'];
      if (kind === 2) return ['RENAME', pick(r, STREAM_KEYS), pick(r, STREAM_KEYS)];
      if (kind === 3) return ['XINFO', pick(r, ['GROUPS', 'groups', 'x', 'STREAM', 'CONSUMERS']), key];
      if (kind === 4)
        return ['XINFO', 'STREAM', key, ...pick(r, [['FULL'], ['full', 'count', 'x'], ['x'], ['FULL', 'COUNT']])];
      if (kind === 5) return ['XINFO', 'CONSUMERS', key, 'g'];
      // Too few or too many arguments.
      if (kind === 6)
        return [pick(r, STREAM_COMMANDS), ...Array.from({ length: r.below(5) }, () => pick(r, ['x1', '-']))];
      return kind < 9 ? ['OBJECT', 'ENCODING', key] : ['TYPE', key];
    }
    default:
      return add(r, ids, canStar);
  }
}

const future = new Clock(FUTURE_MS, ['9000000000000-1', '9000000000000']);
const any = new Clock(0, [...ODD_IDS, '0', '0-0', '0-1', '1', `0-${HIGHEST}`, `1-${HIGHEST}`]);

/** Ids begin anew: after it, equal draws make equal commands. */
export function restartStreamIds(): void {
  future.restart();
}

export function streamCommand(r: Random): Arg[] {
  return command(r, future, true);
}

export function streamCommandAnyId(r: Random): Arg[] {
  return command(r, any, false);
}

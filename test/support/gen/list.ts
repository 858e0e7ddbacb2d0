/**
 * Random list commands over a few keys, for differential tests: ordinary, at the edges, and wrong. None replies in free
 * order. Expiries are far away or long past, so a stream does not depend on how fast it runs.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';

/** Keys that list commands write; `other` is for a key of another type that the test makes. */
export const LIST_KEYS = ['l1', 'l2', 'l3', 'l4', '{l}1', '{l}2', 'other', ''];
/** Their names, for streams that want nothing else. */
export const LIST_COMMANDS = [
  'LPUSH',
  'RPUSH',
  'LPUSHX',
  'RPUSHX',
  'LPOP',
  'RPOP',
  'LLEN',
  'LINDEX',
  'LINSERT',
  'LMOVE',
  'RPOPLPUSH',
  'LMPOP',
  'LPOS',
  'LRANGE',
  'LREM',
  'LSET',
  'LTRIM',
];

const NUMBERS = [
  '0',
  '-0',
  '+1',
  '01',
  ' 1',
  '1.5',
  '',
  'x',
  '2147483648',
  '-2147483649',
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775807',
  '-9223372036854775808',
  '-9223372036854775809',
];
/** Lengths at which marks, reply headers and blocks change their form. */
const LENGTHS = [9, 10, 11, 60, 99, 100, 101, 126, 127, 128, 129, 199, 200, 254, 255, 256, 257, 300, 999, 1000];
const LONG_LENGTHS = [4000, 8100, 8160, 8192, 9000, 16383, 16384, 20_000, 70_000];

function pick<T>(r: Random, from: readonly T[]): T {
  return from[r.below(from.length)];
}

function key(r: Random): Arg {
  return r.below(3) > 0 ? pick(r, LIST_KEYS.slice(0, 3)) : pick(r, LIST_KEYS);
}

/** Elements that come up again, so that LREM, LPOS and LINSERT find some. */
function common(r: Random): Arg {
  return pick(r, ['a', 'b', 'c', 'xxx', '', '1', '-7', '1234567890', 'x'.repeat(150), 'y'.repeat(600)]);
}

function element(r: Random): Arg {
  const kind = r.below(40);
  if (kind < 26) return common(r);
  if (kind < 32) return String(r.below(1_000_000));
  if (kind < 36) return 'abcdefghij'.repeat(100).slice(0, pick(r, LENGTHS));
  if (kind < 38) return Uint8Array.from({ length: r.below(300) }, () => r.below(256));
  return kind === 38 ? 'l'.repeat(pick(r, LONG_LENGTHS)) : 'm'.repeat(r.below(3000));
}

function elements(r: Random): Arg[] {
  const out: Arg[] = [];
  const kind = r.below(12);
  for (let n = kind < 8 ? 1 + r.below(3) : kind < 11 ? r.below(40) : r.below(400); n > 0; n--) out.push(element(r));
  return out;
}

function index(r: Random): Arg {
  const kind = r.below(16);
  if (kind < 8) return r.below(12) - 6;
  if (kind < 13) return r.below(400) - 200;
  return kind < 15 ? r.below(4000) - 2000 : pick(r, NUMBERS);
}

function end(r: Random): Arg {
  return r.below(20) === 0 ? pick(r, ['UP', '', 'LEFT ', 'lef']) : pick(r, ['LEFT', 'RIGHT', 'left', 'Right']);
}

function lposOptions(r: Random): Arg[] {
  const options: Arg[] = [];
  while (r.below(5) < 2 && options.length < 8) {
    const number = r.below(8) === 0 ? pick(r, NUMBERS) : r.below(12) - (r.below(3) === 0 ? 6 : 0);
    options.push(pick(r, ['RANK', 'COUNT', 'MAXLEN', 'rank', 'Count', r.below(8) === 0 ? 'FOO' : 'RANK']), number);
  }
  if (r.below(30) === 0) options.pop();
  return options;
}

function lmpop(r: Random): Arg[] {
  const count = 1 + r.below(3);
  const args: Arg[] = ['LMPOP', r.below(12) === 0 ? pick(r, NUMBERS) : r.below(20) === 0 ? r.below(6) : count];
  for (let i = 0; i < count; i++) args.push(key(r));
  args.push(end(r));
  if (r.below(2) === 0) args.push(pick(r, ['COUNT', 'count', r.below(6) === 0 ? 'FOO' : 'COUNT']), index(r));
  if (r.below(30) === 0) args.push(pick(r, ['COUNT', 'x', '1']));
  return args;
}

export function listCommand(r: Random): Arg[] {
  switch (r.below(38)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return ['LPUSH', key(r), ...elements(r)];
    case 4:
    case 5:
    case 6:
    case 7:
      return ['RPUSH', key(r), ...elements(r)];
    case 8:
      return [pick(r, ['LPUSHX', 'RPUSHX']), key(r), ...elements(r)];
    case 9:
    case 10:
      return [pick(r, ['LPOP', 'RPOP']), key(r)];
    case 11:
      return [pick(r, ['LPOP', 'RPOP']), key(r), index(r)];
    case 12:
      return ['LLEN', key(r)];
    case 13:
    case 14:
      return ['LINDEX', key(r), index(r)];
    case 15:
    case 16:
    case 17:
      return [
        'LINSERT',
        key(r),
        pick(r, ['BEFORE', 'AFTER', 'after', r.below(9) === 0 ? 'IN' : 'before']),
        common(r),
        element(r),
      ];
    case 18:
    case 19:
      return ['LMOVE', key(r), key(r), end(r), end(r)];
    case 20:
      return ['RPOPLPUSH', key(r), key(r)];
    case 21:
      return lmpop(r);
    case 22:
    case 23:
      return ['LPOS', key(r), common(r), ...lposOptions(r)];
    case 24:
    case 25:
    case 26:
      return ['LRANGE', key(r), index(r), index(r)];
    case 27:
    case 28:
      return ['LREM', key(r), index(r), common(r)];
    case 29:
    case 30:
    case 31:
      return ['LSET', key(r), index(r), element(r)];
    case 32:
      return ['LTRIM', key(r), r.below(6) - 1, r.below(300) - 40];
    case 33:
      return r.below(4) === 0 ? ['LTRIM', key(r), index(r), index(r)] : ['OBJECT', 'ENCODING', pick(r, ['l1', 'l2'])];
    case 34:
      return ['LRANGE', key(r), 0, -1];
    case 35:
      return r.below(2) === 0 ? ['PEXPIREAT', key(r), 4_000_000_000_000] : ['PERSIST', key(r)];
    case 36:
      return r.below(6) === 0 ? ['PEXPIREAT', key(r), 1] : ['EXISTS', key(r)];
    default:
      // Too few or too many arguments.
      return [pick(r, LIST_COMMANDS), ...Array.from({ length: r.below(6) }, () => pick(r, ['l1', '1', 'LEFT', 'a']))];
  }
}

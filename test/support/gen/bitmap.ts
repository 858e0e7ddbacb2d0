/**
 * Random bitmap commands over a few short strings, for differential tests: ordinary, at the edges, and wrong. No reply is
 * in free order, nothing expires. `other` is for a key of another type that the test makes.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

const KEYS = ['b1', 'b2', 'b3', 'b4', 'nokey', 'other'];
const OFFSETS = ['4294967295', '4294967296', '-1', 'x', '', '#1', '9223372036854775807', '01'];
const TYPES = ['u1', 'u2', 'u5', 'u8', 'u16', 'u31', 'u32', 'u63', 'i1', 'i3', 'i8', 'i16', 'i32', 'i53', 'i63', 'i64'];
const NOT_TYPES = ['u64', 'i65', 'u0', 'i0', 'x8', 'u', 'i', '', '8', 'I8', 'u08'];
const VALUES = [
  '127',
  '128',
  '-128',
  '-129',
  '255',
  '256',
  '-1',
  '2147483647',
  '9223372036854775807',
  '-9223372036854775808',
  'x',
];

function offset(r: Random): Arg {
  // Never so far off that a string of half a GiB would be made.
  return r.below(12) === 0 ? pick(r, OFFSETS.slice(1)) : r.below(400);
}

function index(r: Random): Arg {
  if (r.below(15) === 0) return pick(r, ['x', '9223372036854775807', '-9223372036854775808', '']);
  return r.below(3) === 0 ? r.below(600) - 300 : r.below(60) - 20;
}

function bytes(r: Random): Arg {
  const kind = r.below(5);
  if (kind === 0) return '';
  if (kind === 1) return new Uint8Array(r.below(50)).fill(0xff);
  if (kind === 2) return new Uint8Array(r.below(50));
  return Uint8Array.from({ length: r.below(70) }, () => r.below(256));
}

function fieldOperations(r: Random): Arg[] {
  const out: Arg[] = [];
  for (let n = r.below(5); n > 0; n--) {
    const type = r.below(20) === 0 ? pick(r, NOT_TYPES) : pick(r, TYPES);
    const at = r.below(3) === 0 ? `#${r.below(12)}` : offset(r);
    const value = r.below(2) === 0 ? r.below(600) - 300 : pick(r, VALUES);
    const kind = r.below(12);
    if (kind < 3) out.push('GET', type, at);
    else if (kind < 6) out.push('SET', type, at, value);
    else if (kind < 9) out.push('incrby', type, at, value);
    else if (kind < 11) out.push('OVERFLOW', pick(r, ['WRAP', 'SAT', 'FAIL', 'sat']));
    else out.push(pick(r, ['OVERFLOW', 'FOO', 'GET']));
  }
  return out;
}

export function bitmapCommand(r: Random): Arg[] {
  const key = pick(r, KEYS);
  const unit = r.below(8) === 0 ? 'FOO' : pick(r, ['BIT', 'BYTE', 'bit']);
  switch (r.below(20)) {
    case 0:
    case 1:
      return ['SETBIT', key, offset(r), r.below(15) === 0 ? pick(r, [2, -1, 'x']) : r.below(2)];
    case 2:
    case 3:
      return ['GETBIT', key, offset(r)];
    case 4:
      return ['BITCOUNT', key];
    case 5:
      return ['BITCOUNT', key, index(r), index(r)];
    case 6:
    case 7:
      return ['BITCOUNT', key, index(r), index(r), unit];
    case 8:
      return ['BITCOUNT', key, index(r), ...(r.below(2) === 0 ? [] : [index(r), unit, 'x'])];
    case 9:
      return ['BITPOS', key, pick(r, [0, 1, 0, 1, 0, 1, 2, 'x'])];
    case 10:
      return ['BITPOS', key, r.below(2), index(r)];
    case 11:
      return ['BITPOS', key, r.below(2), index(r), index(r)];
    case 12:
    case 13:
      return ['BITPOS', key, r.below(2), index(r), index(r), unit];
    case 14:
      return ['BITOP', pick(r, ['AND', 'or', 'XOR', 'XOR', 'FOO']), pick(r, KEYS), key, ...KEYS.slice(0, r.below(4))];
    case 15:
      return ['BITOP', 'NOT', pick(r, KEYS), key, ...(r.below(5) === 0 ? ['b1'] : [])];
    case 16:
      return ['SET', key === 'nokey' || key === 'other' ? 'b1' : key, bytes(r)];
    case 17:
      return [pick(r, ['BITFIELD_RO', 'BITFIELD']), key, ...fieldOperations(r)];
    case 18:
      return r.below(3) === 0 ? ['OBJECT', 'ENCODING', key] : ['GET', key];
    default:
      return ['BITFIELD', key, ...fieldOperations(r)];
  }
}

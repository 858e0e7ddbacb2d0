/**
 * Random commands on places for differential tests: ordinary, at the edges of the map, and wrong. Places are drawn so
 * finely that no two are equally far from a third: Redis does not say in which order it gives those. No reply is in free
 * order. `other` is for a key of another type that the test makes.
 *
 * STOREDIST is left out: the sine and cosine of C's library and ours may differ in the last of 17 digits.
 */
import type { Random } from '../../../engine/random.ts';
import type { Arg } from '../engine.ts';
import { pick } from './string.ts';

export const GEO_KEYS = ['g1', 'g2', '{g}3'];
const NAMES = Array.from({ length: 60 }, (_, i) => `place:${i}`);
const WRONG_PLACES: Arg[][] = [
  ['200', '10'],
  ['10', '85.06'],
  ['-180.1', '-86'],
  ['x', '1'],
  ['1', ''],
  ['nan', '1'],
  ['inf', '1'],
];
const UNITS = ['m', 'km', 'ft', 'mi', 'KM', 'km', 'km', 'km'];

function key(r: Random): Arg {
  const kind = r.below(20);
  return kind === 0 ? 'other' : kind === 1 ? 'nokey' : pick(r, GEO_KEYS);
}

function name(r: Random): Arg {
  return r.below(20) === 0 ? 'nowhere' : pick(r, NAMES);
}

/** A coordinate of up to `limit` degrees, to a hundred thousandth. */
function coordinate(r: Random, limit: number): number {
  return Number((((r.next() / 2 ** 32) * 2 - 1) * limit).toFixed(9));
}

function place(r: Random): Arg[] {
  const kind = r.below(40);
  if (kind === 0) return pick(r, WRONG_PLACES);
  if (kind === 1) return [pick(r, [180, -180, 179.9999]), coordinate(r, 85)];
  if (kind === 2) return [coordinate(r, 180), pick(r, [85.05112878, -85.05112878, 85, -84.9999])];
  if (kind < 20) return [10 + coordinate(r, 3), 45 + coordinate(r, 3)];
  return [coordinate(r, 180), coordinate(r, 85)];
}

function times(r: Random, limit: number, make: () => Arg[]): Arg[] {
  const out: Arg[] = [];
  for (let n = r.below(limit); n >= 0; n--) out.push(...make());
  return out;
}

function size(r: Random): Arg {
  const kind = r.below(30);
  if (kind === 0) return pick(r, ['-1', 'x', '', '0']);
  return Number((10 ** (r.below(50) / 10) * (1 + r.below(9))).toFixed(2));
}

function unit(r: Random): Arg {
  return r.below(40) === 0 ? pick(r, ['parsec', '']) : pick(r, UNITS);
}

function count(r: Random): Arg[] {
  const any = r.below(4) === 0 ? ['ANY'] : [];
  if (r.below(20) === 0) return any;
  return ['COUNT', r.below(15) === 0 ? pick(r, [0, -1, 'x']) : 1 + r.below(12), ...any];
}

function shared(r: Random, shows: boolean): Arg[] {
  const out: Arg[] = [];
  if (r.below(2) === 0) out.push(pick(r, ['ASC', 'desc', 'asc']));
  if (r.below(3) === 0) out.push(...count(r));
  if (shows) for (const option of ['WITHDIST', 'withhash', 'WITHCOORD']) if (r.below(3) === 0) out.push(option);
  if (r.below(40) === 0) out.push(pick(r, ['FOO', 'STORE', 'BYBOX', 'FROMMEMBER']));
  return out;
}

function search(r: Random): Arg[] {
  const store = r.below(5) === 0;
  const from = r.below(3) === 0 ? ['FROMMEMBER', name(r)] : ['fromlonlat', ...place(r)];
  const by = r.below(2) === 0 ? ['BYRADIUS', size(r), unit(r)] : ['bybox', size(r), size(r), unit(r)];
  const parts = r.below(25) === 0 ? [...from, ...from] : r.below(2) === 0 ? [...from, ...by] : [...by, ...from];
  if (r.below(25) === 0) parts.push(...by);
  if (store) return ['GEOSEARCHSTORE', pick(r, GEO_KEYS), key(r), ...parts, ...shared(r, r.below(15) === 0)];
  return ['GEOSEARCH', key(r), ...parts, ...shared(r, true)];
}

function radius(r: Random): Arg[] {
  const store = r.below(5) === 0 ? ['STORE', pick(r, GEO_KEYS)] : [];
  const suffix = r.below(3) === 0 ? '_RO' : '';
  const tail = [...shared(r, store.length === 0 || r.below(15) === 0), ...store];
  if (r.below(2) === 0) return [`GEORADIUS${suffix}`, key(r), ...place(r), size(r), unit(r), ...tail];
  return [`GEORADIUSBYMEMBER${suffix}`, key(r), name(r), size(r), unit(r), ...tail];
}

export function geoCommand(r: Random): Arg[] {
  switch (r.below(14)) {
    case 0:
    case 1:
    case 2: {
      const options = r.below(3) === 0 ? times(r, 2, () => [pick(r, ['NX', 'xx', 'CH'])]) : [];
      const odd = r.below(30) === 0 ? [1] : [];
      return ['GEOADD', key(r), ...options, ...times(r, 12, () => [...place(r), name(r)]), ...odd];
    }
    case 3:
      return [
        'GEODIST',
        key(r),
        name(r),
        name(r),
        ...(r.below(2) === 0 ? [unit(r)] : []),
        ...(r.below(30) === 0 ? [1] : []),
      ];
    case 4:
      return ['GEOHASH', key(r), ...times(r, 4, () => [name(r)])];
    case 5:
      return ['GEOPOS', key(r), ...times(r, 4, () => [name(r)])];
    case 6:
      return r.below(3) === 0 ? ['ZREM', key(r), name(r)] : ['ZRANGE', key(r), 0, -1, 'WITHSCORES'];
    case 7:
    case 8:
    case 9:
      return radius(r);
    default:
      return search(r);
  }
}

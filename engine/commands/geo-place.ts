/** Places, units and distances in the arguments and replies of the GEO commands. */
import type { Call } from '../call.ts';
import { ERR, invalidPlace } from '../errors.ts';
import { isPlace } from '../types/geohash.ts';

/** Meters in the unit that argument i names, 0 for none that is known. */
export function unitMeters(c: Call, i: number): number {
  if (c.is(i, 'M')) return 1;
  if (c.is(i, 'KM')) return 1000;
  if (c.is(i, 'FT')) return 0.3048;
  return c.is(i, 'MI') ? 1609.34 : 0;
}

/** The place in arguments i and i + 1, as `readPlace` reads it. */
export const given = { longitude: 0.5, latitude: 0.5 };

/** Reads the place in arguments i and i + 1 into `given`; the error, '' for none. */
export function readPlace(c: Call, i: number): string {
  given.longitude = c.double(i);
  given.latitude = c.double(i + 1);
  if (Number.isNaN(given.longitude) || Number.isNaN(given.latitude)) return ERR.NOT_FLOAT;
  return isPlace(given.longitude, given.latitude) ? '' : invalidPlace(given.longitude, given.latitude);
}

export function replyDistance(c: Call, units: number): void {
  c.reply.bulkString(units.toFixed(4));
}

export function replyPlace(c: Call, longitude: number, latitude: number): void {
  c.reply.arrayHeader(2);
  replyCoordinate(c, longitude);
  replyCoordinate(c, latitude);
}

/** Seventeen decimals at the most. */
function replyCoordinate(c: Call, degrees: number): void {
  const text = degrees.toFixed(17).replace(/\.?0+$/, '');
  const shown = text === '-0' ? '0' : text;
  if (c.reply.protocol === 3) c.reply.ascii(`,${shown}\r\n`);
  else c.reply.bulkString(shown);
}

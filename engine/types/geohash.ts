/**
 * Places on earth as scores of a sorted set: a geohash of 52 bits, 26 each for latitude and longitude, interleaved, so that
 * the members in a square of the grid are a range of scores. Pure arithmetic, any thread.
 *
 * Bit 2i of a hash is bit i of the latitude's cell, bit 2i+1 that of the longitude's. 52 bits are a double's mantissa, so
 * a hash is an exact score; a cell is 0.6 m at the most. Latitudes end at 85.05112878 degrees, as Mercator's square does.
 *
 * Example: 13.361389 E, 38.115556 N is longitude cell 36,045,175, latitude cell 48,591,808: 3479099956230698.
 */

export const MIN_LONGITUDE = -180;
export const MAX_LONGITUDE = 180;
export const MIN_LATITUDE = -85.05112878;
export const MAX_LATITUDE = 85.05112878;

/** Bits for each of the coordinates. */
export const MAX_STEP = 26;
const EARTH_RADIUS_M = 6372797.560856;
const RADIANS = Math.PI / 180;
/** Half of the bits of a coordinate: two halves interleaved fit a 32-bit number. */
const HALF_BITS = 13;
const HALF = 2 ** HALF_BITS;
const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';

export function radians(degrees: number): number {
  return degrees * RADIANS;
}

export function degrees(meters: number): number {
  return meters / EARTH_RADIUS_M / RADIANS;
}

/** The cell, of 2^step between `min` and `max`, in which a coordinate lies. */
export function cellOf(coordinate: number, min: number, max: number, step: number): number {
  return Math.trunc(((coordinate - min) / (max - min)) * 2 ** step);
}

/** A hash of any number of bits from the cells of both coordinates. */
export function interleave(latitudeCell: number, longitudeCell: number): number {
  const low = spread(latitudeCell % HALF) + spread(longitudeCell % HALF) * 2;
  const high = spread(Math.floor(latitudeCell / HALF)) + spread(Math.floor(longitudeCell / HALF)) * 2;
  return high * HALF * HALF + low;
}

/** Puts a zero before each bit of a number of up to 16 bits. */
function spread(x: number): number {
  x = (x | (x << 8)) & 0x00ff00ff;
  x = (x | (x << 4)) & 0x0f0f0f0f;
  x = (x | (x << 2)) & 0x33333333;
  return (x | (x << 1)) & 0x55555555;
}

/** Takes the even bits of a 32-bit number together. */
function gather(x: number): number {
  x &= 0x55555555;
  x = (x | (x >>> 1)) & 0x33333333;
  x = (x | (x >>> 2)) & 0x0f0f0f0f;
  x = (x | (x >>> 4)) & 0x00ff00ff;
  return (x | (x >>> 8)) & 0x0000ffff;
}

/** The score of a place. */
export function geohash(longitude: number, latitude: number): number {
  return interleave(
    cellOf(latitude, MIN_LATITUDE, MAX_LATITUDE, MAX_STEP),
    cellOf(longitude, MIN_LONGITUDE, MAX_LONGITUDE, MAX_STEP),
  );
}

/** The middle of the cell that a score stands for; see `decode`. */
export const place = { longitude: 0.5, latitude: 0.5 };

/** Sets `place` to what a score stands for; any score stands for something. */
export function decode(score: number): void {
  const hash = Number.isFinite(score) ? Math.trunc(score) : 0;
  // The high part takes what is above 52 bits, which only longitude 180 and scores that are no places have.
  const unsigned = hash < 0 ? hash + 2 ** 64 : hash;
  const high = Math.floor(unsigned / (HALF * HALF)) >>> 0;
  const low = unsigned % (HALF * HALF);
  const latitudeCell = gather(high) * HALF + gather(low);
  const longitudeCell = gather(high >>> 1) * HALF + gather(low >>> 1);
  place.longitude = middle(longitudeCell, MIN_LONGITUDE, MAX_LONGITUDE);
  place.latitude = middle(latitudeCell, MIN_LATITUDE, MAX_LATITUDE);
}

function middle(cell: number, min: number, max: number): number {
  const from = edge(cell, min, max, MAX_STEP);
  const to = edge(cell + 1, min, max, MAX_STEP);
  return Math.min(max, Math.max(min, (from + to) / 2));
}

/** The coordinate at which a cell begins. */
export function edge(cell: number, min: number, max: number, step: number): number {
  return min + (cell / 2 ** step) * (max - min);
}

/** Great-circle distance in meters, by the haversine formula. */
export function distance(longitude1: number, latitude1: number, longitude2: number, latitude2: number): number {
  const phi1 = radians(latitude1);
  const phi2 = radians(latitude2);
  const u = Math.sin((phi2 - phi1) / 2);
  const v = Math.sin((radians(longitude2) - radians(longitude1)) / 2);
  return 2 * EARTH_RADIUS_M * Math.asin(Math.sqrt(u * u + Math.cos(phi1) * Math.cos(phi2) * v * v));
}

/** Distance in meters along a meridian. */
export function latitudeDistance(latitude1: number, latitude2: number): number {
  return EARTH_RADIUS_M * Math.abs(radians(latitude2) - radians(latitude1));
}

/** The place of a score as the usual text of 11 letters; of the last letter's five bits a score has only two. */
export function geohashText(score: number): string {
  decode(score);
  const hash = interleave(cellOf(place.latitude, -90, 90, MAX_STEP), cellOf(place.longitude, -180, 180, MAX_STEP));
  let text = '';
  for (let bits = 47; bits >= 2; bits -= 5) text += ALPHABET[Math.floor(hash / 2 ** bits) % 32];
  // Redis has the last letter always stand for zero.
  return `${text}0`;
}

/** Whether a place can be stored. */
export function isPlace(longitude: number, latitude: number): boolean {
  return (
    longitude >= MIN_LONGITUDE && longitude <= MAX_LONGITUDE && latitude >= MIN_LATITUDE && latitude <= MAX_LATITUDE
  );
}

/**
 * GEOSEARCH, GEOSEARCHSTORE and the older GEORADIUS family: places within a circle or a rectangle. The area is covered by
 * squares of the geohash grid, each a range of scores (types/geoarea.ts), whose members are then measured one by one.
 * Handlers run under the locks of their keys' shards.
 */
import type { Arena, Offset } from '../arena.ts';
import { WORD_SEED0, WORD_SEED1 } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR, geoExactlyOne, geoStoreWith } from '../errors.ts';
import { lookupRead } from '../keyspace.ts';
import type { Request } from '../request.ts';
import { coveringRanges, GeoShape } from '../types/geoarea.ts';
import { decode, place } from '../types/geohash.ts';
import { MemberList } from '../types/member-list.ts';
import { isZset, ZsetWalk, zsetCountToScore, zsetScore, zsetSize } from '../types/zset.ts';
import { given, readPlace, replyDistance, replyPlace, unitMeters } from './geo-place.ts';
import { storeList } from './zset-range.ts';

/** Which command's arguments are read. */
const RADIUS = 0;
const RADIUS_BY_MEMBER = 1;
const SEARCH = 2;
const SEARCH_STORE = 3;

const UNSORTED = 0;
const ASCENDING = 1;
const DESCENDING = 2;

/** What C makes of a double that no 64-bit integer is. */
const INT64_MIN = -(2n ** 63n);

interface Found {
  start: Offset;
  length: number;
  score: number;
  /** In the unit that was asked for. */
  distance: number;
}

const shape = new GeoShape();
const walk = new ZsetWalk();
const list = new MemberList();

/** The options of the search at hand. */
const options = {
  form: RADIUS,
  readOnly: false,
  withDistance: false,
  withHash: false,
  withPlace: false,
  order: UNSORTED,
  /** 0: all. */
  count: 0,
  any: false,
  /** The argument that is the destination key, 0 for none. */
  store: 0,
  storeDistance: false,
  fromMember: false,
  fromPlace: false,
  byRadius: false,
  byBox: false,
};

/** Pushes the key and the one behind the last STORE or STOREDIST of GEORADIUS and GEORADIUSBYMEMBER. */
export function storeKeys(request: Request, out: number[]): boolean {
  out.push(1);
  let store = 0;
  for (let i = 5; i + 1 < request.argc; i++) if (request.is(i, 'STORE') || request.is(i, 'STOREDIST')) store = ++i;
  if (store > 0) out.push(store);
  return true;
}

export function georadius(c: Call): void {
  search(c, RADIUS, false);
}

export function georadiusRo(c: Call): void {
  search(c, RADIUS, true);
}

export function georadiusbymember(c: Call): void {
  search(c, RADIUS_BY_MEMBER, false);
}

export function georadiusbymemberRo(c: Call): void {
  search(c, RADIUS_BY_MEMBER, true);
}

export function geosearch(c: Call): void {
  search(c, SEARCH, true);
}

export function geosearchstore(c: Call): void {
  search(c, SEARCH_STORE, false);
}

function search(c: Call, form: number, readOnly: boolean): void {
  const record = lookupRead(c, form === SEARCH_STORE ? 2 : 1);
  const a = c.arena;
  if (record !== 0 && !isZset(a, record)) return c.reply.error(ERR.WRONGTYPE);
  reset(form, readOnly);
  let error = parse(c, a, record);
  if (error === '') error = conflict(c);
  if (error !== '') return c.reply.error(error);
  const found = record === 0 ? [] : collect(a, record);
  const sorts = options.order !== UNSORTED || (options.count > 0 && !options.any);
  const sign = options.order === DESCENDING ? -1 : 1;
  if (sorts) found.sort((one, other) => sign * (one.distance - other.distance));
  if (options.count > 0 && found.length > options.count) found.length = options.count;
  if (options.store === 0) return replyFound(c, a, found);
  list.clear(a.u32[WORD_SEED0], a.u32[WORD_SEED1]);
  for (const { start, length, score, distance } of found) {
    list.push(a.u8, start, length, options.storeDistance ? distance : score);
  }
  list.sort();
  storeList(c, options.store, list);
  // Redis counts each place stored as a change.
  if (found.length > 1 && c.dirty > 0) c.dirty += found.length - 1;
}

function reset(form: number, readOnly: boolean): void {
  options.form = form;
  options.readOnly = readOnly;
  options.withDistance = false;
  options.withHash = false;
  options.withPlace = false;
  options.order = UNSORTED;
  options.count = 0;
  options.any = false;
  options.store = form === SEARCH_STORE ? 1 : 0;
  options.storeDistance = false;
  options.fromMember = false;
  options.fromPlace = false;
  options.byRadius = form === RADIUS || form === RADIUS_BY_MEMBER;
  options.byBox = false;
  shape.box = false;
}

/** Reads all arguments; the error, '' for none. Without a key, members are not looked for. */
function parse(c: Call, a: Arena, record: Offset): string {
  if (options.form === SEARCH) return parseOptions(c, a, record, 2);
  if (options.form === SEARCH_STORE) return parseOptions(c, a, record, 3);
  if (options.form === RADIUS) {
    const error = readCentre(c, 2) || readRadius(c, 4);
    return error === '' ? parseOptions(c, a, record, 6) : error;
  }
  // With no key, Redis does not look at member and radius at all.
  const error = record === 0 ? '' : readMember(c, a, record, 2) || readRadius(c, 3);
  return error === '' ? parseOptions(c, a, record, 5) : error;
}

function readCentre(c: Call, i: number): string {
  const error = readPlace(c, i);
  shape.longitude = given.longitude;
  shape.latitude = given.latitude;
  return error;
}

function readMember(c: Call, a: Arena, record: Offset, i: number): string {
  const score = zsetScore(a, record, c.buf, c.off[i], c.len[i]);
  if (Number.isNaN(score)) return ERR.GEO_NO_MEMBER;
  decode(score);
  shape.longitude = place.longitude;
  shape.latitude = place.latitude;
  return '';
}

function readRadius(c: Call, i: number): string {
  shape.radius = c.double(i);
  if (Number.isNaN(shape.radius)) return ERR.GEO_RADIUS;
  if (shape.radius < 0) return ERR.GEO_RADIUS_NEGATIVE;
  shape.unitMeters = unitMeters(c, i + 1);
  return shape.unitMeters === 0 ? ERR.GEO_UNIT : '';
}

function readBox(c: Call, i: number): string {
  shape.width = c.double(i);
  if (Number.isNaN(shape.width)) return ERR.GEO_WIDTH;
  shape.height = c.double(i + 1);
  if (Number.isNaN(shape.height)) return ERR.GEO_HEIGHT;
  if (shape.width < 0 || shape.height < 0) return ERR.GEO_BOX_NEGATIVE;
  shape.unitMeters = unitMeters(c, i + 2);
  return shape.unitMeters === 0 ? ERR.GEO_UNIT : '';
}

/** Reads the options from argument `from` on; the error, '' for none. */
function parseOptions(c: Call, a: Arena, record: Offset, from: number): string {
  for (let i = from; i < c.argc; ) {
    if (parseFlag(c, i)) {
      i++;
      continue;
    }
    const left = c.argc - i - 1;
    let taken = 0;
    let error = '';
    if (c.is(i, 'COUNT') && left >= 1) {
      taken = 1;
      error = readCount(c, i + 1);
    } else if (options.form >= SEARCH) {
      if (c.is(i, 'FROMMEMBER') && left >= 1 && !options.fromPlace) {
        taken = 1;
        options.fromMember = true;
        if (record !== 0) error = readMember(c, a, record, i + 1);
      } else if (c.is(i, 'FROMLONLAT') && left >= 2 && !options.fromMember) {
        taken = 2;
        options.fromPlace = true;
        error = readCentre(c, i + 1);
      } else if (c.is(i, 'BYRADIUS') && left >= 2 && !options.byBox) {
        taken = 2;
        options.byRadius = true;
        error = readRadius(c, i + 1);
      } else if (c.is(i, 'BYBOX') && left >= 3 && !options.byRadius) {
        taken = 3;
        options.byBox = true;
        shape.box = true;
        error = readBox(c, i + 1);
      }
    } else if ((c.is(i, 'STORE') || c.is(i, 'STOREDIST')) && left >= 1 && !options.readOnly) {
      taken = 1;
      options.store = i + 1;
      options.storeDistance = c.is(i, 'STOREDIST');
    }
    if (taken === 0) return ERR.SYNTAX;
    if (error !== '') return error;
    i += 1 + taken;
  }
  return '';
}

/** Whether argument i is an option of one word, which is then noted. */
function parseFlag(c: Call, i: number): boolean {
  if (c.is(i, 'WITHDIST')) options.withDistance = true;
  else if (c.is(i, 'WITHHASH')) options.withHash = true;
  else if (c.is(i, 'WITHCOORD')) options.withPlace = true;
  else if (c.is(i, 'ANY')) options.any = true;
  else if (c.is(i, 'ASC')) options.order = ASCENDING;
  else if (c.is(i, 'DESC')) options.order = DESCENDING;
  else if (options.form === SEARCH_STORE && c.is(i, 'STOREDIST')) options.storeDistance = true;
  else return false;
  return true;
}

function readCount(c: Call, i: number): string {
  if (!c.long(i)) return ERR.NOT_INTEGER;
  options.count = c.num;
  return c.num <= 0 ? ERR.GEO_COUNT : '';
}

/** The error in options that do not go together, '' for none. */
function conflict(c: Call): string {
  const shows = options.withDistance || options.withHash || options.withPlace;
  if (options.store > 0 && shows) {
    return geoStoreWith(options.form === SEARCH_STORE ? 'GEOSEARCHSTORE' : 'STORE option in GEORADIUS');
  }
  if (options.form >= SEARCH && !options.fromMember && !options.fromPlace) {
    return geoExactlyOne('FROMMEMBER or FROMLONLAT', c.str(0));
  }
  if (options.form >= SEARCH && !options.byRadius && !options.byBox) {
    return geoExactlyOne('BYRADIUS and BYBOX', c.str(0));
  }
  return options.any && options.count === 0 ? ERR.GEO_ANY : '';
}

/** The members inside the shape, in the order of the squares and then of their scores. */
function collect(a: Arena, record: Offset): Found[] {
  const found: Found[] = [];
  const limit = options.any ? options.count : Number.POSITIVE_INFINITY;
  const size = zsetSize(a, record);
  for (const { min, max } of coveringRanges(shape)) {
    if (found.length >= limit) break;
    const from = zsetCountToScore(a, record, min, false);
    if (from === size) continue;
    walk.start(a, record, from, false);
    while (found.length < limit && walk.next(a) && walk.score < max) {
      const meters = shape.distanceTo(walk.score);
      if (meters < 0) continue;
      found.push({ start: walk.at, length: walk.length, score: walk.score, distance: meters / shape.unitMeters });
    }
  }
  return found;
}

function replyFound(c: Call, a: Arena, found: Found[]): void {
  const { withDistance, withHash, withPlace } = options;
  const parts = 1 + Number(withDistance) + Number(withHash) + Number(withPlace);
  c.reply.arrayHeader(found.length);
  for (const { start, length, score, distance } of found) {
    if (parts > 1) c.reply.arrayHeader(parts);
    c.reply.bulk(a.u8, start, length);
    if (withDistance) replyDistance(c, distance);
    if (withHash) replyHash(c, score);
    if (withPlace) {
      decode(score);
      replyPlace(c, place.longitude, place.latitude);
    }
  }
}

/** A score as a 64-bit integer, which those of places are; longitude 180 has some beyond 2^53. */
function replyHash(c: Call, score: number): void {
  const hash = Math.trunc(score) + 0;
  if (Number.isSafeInteger(hash)) c.reply.int(hash);
  else c.reply.bigInt(Number.isFinite(hash) ? BigInt.asIntN(64, BigInt(hash)) : INT64_MIN);
}

/**
 * The commands on places: GEOADD, GEODIST, GEOHASH, GEOPOS, and the list of all rows of the group; searches are in
 * geo-search.ts. Places are members of sorted sets whose scores are geohashes (types/geohash.ts). Handlers run under the
 * locks of their keys' shards.
 */
import type { Call } from '../call.ts';
import { COPIES, type CommandRow, DENYOOM, MOVABLE_KEYS, READONLY, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import { lookupRead } from '../keyspace.ts';
import { decode, distance, geohash, geohashText, place } from '../types/geohash.ts';
import { ADD_NX, ADD_XX, isZset, zsetScore } from '../types/zset.ts';
import { given, readPlace, replyDistance, replyPlace, unitMeters } from './geo-place.ts';
import {
  georadius,
  georadiusbymember,
  georadiusbymemberRo,
  georadiusRo,
  geosearch,
  geosearchstore,
  storeKeys,
} from './geo-search.ts';
import { ONE_KEY, rowMaker, TWO_KEYS } from './rows.ts';
import { addMembers, scoresFor } from './zset.ts';

function geoadd(c: Call): void {
  let conditions = 0;
  let changed = false;
  let first = 2;
  for (; first < c.argc; first++) {
    if (c.is(first, 'NX')) conditions |= ADD_NX;
    else if (c.is(first, 'XX')) conditions |= ADD_XX;
    else if (c.is(first, 'CH')) changed = true;
    else break;
  }
  const places = (c.argc - first) / 3;
  if (!Number.isInteger(places) || conditions === (ADD_NX | ADD_XX)) return c.reply.error(ERR.SYNTAX);
  if (places === 0) return c.reply.error(ERR.SYNTAX);
  const scores = scoresFor(places);
  for (let i = 0; i < places; i++) {
    const error = readPlace(c, first + i * 3);
    if (error !== '') return c.reply.error(error);
    scores[i] = geohash(given.longitude, given.latitude);
  }
  addMembers(c, first + 2, 3, places, conditions, changed);
}

function geodist(c: Call): void {
  if (c.argc > 5) return c.reply.error(ERR.SYNTAX);
  const unit = c.argc === 5 ? unitMeters(c, 4) : 1;
  if (unit === 0) return c.reply.error(ERR.GEO_UNIT);
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  if (!isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  const from = zsetScore(c.arena, record, c.buf, c.off[2], c.len[2]);
  const to = zsetScore(c.arena, record, c.buf, c.off[3], c.len[3]);
  if (Number.isNaN(from) || Number.isNaN(to)) return c.reply.nil();
  decode(from);
  const { longitude, latitude } = place;
  decode(to);
  replyDistance(c, distance(longitude, latitude, place.longitude, place.latitude) / unit);
}

/** The score of the member in argument i, NaN when there is none; for commands that reply about several members. */
function scoreOf(c: Call, record: number, i: number): number {
  return record === 0 ? Number.NaN : zsetScore(c.arena, record, c.buf, c.off[i], c.len[i]);
}

function geohashCommand(c: Call): void {
  const record = lookupRead(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.arrayHeader(c.argc - 2);
  for (let i = 2; i < c.argc; i++) {
    const score = scoreOf(c, record, i);
    if (Number.isNaN(score)) c.reply.nil();
    else c.reply.bulkString(geohashText(score));
  }
}

function geopos(c: Call): void {
  const record = lookupRead(c, 1);
  if (record !== 0 && !isZset(c.arena, record)) return c.reply.error(ERR.WRONGTYPE);
  c.reply.arrayHeader(c.argc - 2);
  for (let i = 2; i < c.argc; i++) {
    const score = scoreOf(c, record, i);
    if (Number.isNaN(score)) {
      c.reply.nilArray();
    } else {
      decode(score);
      replyPlace(c, place.longitude, place.latitude);
    }
  }
}

const row = rowMaker('geo');
const R = READONLY;
const W = WRITE | DENYOOM;
const FOUND = 'O(n + log m) for n members in the squares around the area, m in the set';
const EACH = 'O(1) for each member';

export const geoRows: CommandRow[] = [
  row('geoadd', -5, W, ONE_KEY, '3.2.0', 'O(log n) for each place', 'Adds places to a sorted set', geoadd),
  row('geodist', -4, R, ONE_KEY, '3.2.0', 'O(1)', 'Returns the distance of two places', geodist),
  row('geohash', -2, R, ONE_KEY, '3.2.0', EACH, 'Returns places as geohashes of 11 letters', geohashCommand),
  row('geopos', -2, R, ONE_KEY, '3.2.0', EACH, 'Returns the longitudes and latitudes of places', geopos),
  {
    ...row(
      'georadius',
      -6,
      W | COPIES | MOVABLE_KEYS,
      ONE_KEY,
      '3.2.0',
      FOUND,
      'Finds or stores the places in a circle',
      georadius,
    ),
    keys: storeKeys,
  },
  row('georadius_ro', -6, R, ONE_KEY, '3.2.10', FOUND, 'Finds the places in a circle', georadiusRo),
  {
    ...row(
      'georadiusbymember',
      -5,
      W | COPIES | MOVABLE_KEYS,
      ONE_KEY,
      '3.2.0',
      FOUND,
      'Finds or stores the places in a circle around one of them',
      georadiusbymember,
    ),
    keys: storeKeys,
  },
  row(
    'georadiusbymember_ro',
    -5,
    R,
    ONE_KEY,
    '3.2.10',
    FOUND,
    'Finds the places in a circle around one of them',
    georadiusbymemberRo,
  ),
  row('geosearch', -7, R, ONE_KEY, '6.2.0', FOUND, 'Finds the places in a circle or a rectangle', geosearch),
  row(
    'geosearchstore',
    -8,
    W | COPIES,
    TWO_KEYS,
    '6.2.0',
    FOUND,
    'Stores the places in a circle or a rectangle',
    geosearchstore,
  ),
];

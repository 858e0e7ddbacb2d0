/**
 * SSCAN and HSCAN. A small key gives all its members at once and cursor 0, as in Redis; for a big one the cursor is that of
 * its table (table.ts, `tableScan`). Runs under the lock of the key's shard.
 */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { globMatch } from '../glob.ts';
import { lookupRead } from '../keyspace.ts';
import { keyLength, recordType, TYPE_HASH, valueWord } from '../record.ts';
import { tableScan } from '../table.ts';
import { MemberWalk } from '../types/member-walk.ts';
import { memberStart, memberValue } from '../types/members.ts';
import { hasRoot } from '../values.ts';
import { parseCursor, parseScanOptions, scanOptions } from './scan.ts';

const BUCKETS_PER_COUNT = 10;
const CURSORS = 2 ** 32;

const found: Offset[] = [];
const walk = new MemberWalk();

/** Scans the key in argument 1, which must be of this type. */
export function scanMembers(c: Call, type: number): void {
  const cursor = parseCursor(c, 2);
  if (cursor < 0) return;
  const record = lookupRead(c, 1);
  if (record === 0) {
    c.reply.arrayHeader(2);
    c.reply.bulkInt(0);
    return c.reply.arrayHeader(0);
  }
  const a = c.arena;
  if (recordType(a, record) !== type) return c.reply.error(ERR.WRONGTYPE);
  if (!parseScanOptions(c, 3, false)) return;
  const values = type === TYPE_HASH;
  const next = hasRoot(a, record) ? collect(c, valueWord(a, record), cursor) : 0;
  c.reply.arrayHeader(2);
  c.reply.bulkInt(next);
  const mark = c.reply.open();
  let replied = 0;
  if (hasRoot(a, record)) {
    for (let i = 0; i < found.length; i++) {
      const member = found[i];
      if (!replyMatch(c, a.u8, memberStart(member), keyLength(a, member))) continue;
      if (values) c.reply.bulk(a.u8, memberValue(a, member), valueWord(a, member));
      replied++;
    }
  } else {
    for (walk.start(a, record); walk.next(a); ) {
      if (!replyMatch(c, walk.buf, walk.at, walk.length)) continue;
      if (values) c.reply.bulk(a.u8, walk.valueAt, walk.valueLength);
      replied++;
    }
  }
  c.reply.closeArray(mark, values ? replied * 2 : replied);
}

/** Fills `found` with the records of some buckets and returns the next cursor. */
function collect(c: Call, t: Offset, cursor: number): number {
  found.length = 0;
  let buckets = scanOptions.count * BUCKETS_PER_COUNT;
  // The table's cursors have 32 bits; any other is none of ours, and its scan is over.
  do cursor = cursor < CURSORS ? tableScan(c.arena, t, cursor, found) : 0;
  while (cursor !== 0 && found.length < scanOptions.count && --buckets > 0);
  return cursor;
}

/** Replies with a field or member if it matches the pattern; whether it did. */
function replyMatch(c: Call, buf: Uint8Array, start: number, length: number): boolean {
  const { pattern } = scanOptions;
  if (pattern !== 0 && !globMatch(c.buf, c.off[pattern], c.len[pattern], buf, start, length)) return false;
  c.reply.bulk(buf, start, length);
  return true;
}

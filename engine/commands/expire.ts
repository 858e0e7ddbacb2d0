/**
 * When keys expire: EXPIRE, TTL and their kin in seconds or milliseconds, relative or absolute; PERSIST. Handlers; run
 * under the shard's lock. Times are doubles in a record: beyond 2^53 ms, the year 287396, they are rounded.
 */
import type { Call } from '../call.ts';
import { type CommandRow, FAST, GROWS, READONLY, WRITE } from '../command.ts';
import { ERR, invalidExpire } from '../errors.ts';
import { clearExpiry, deleteRecord, lookupPeek, lookupWrite, setExpiry } from '../keyspace.ts';
import { recordExpiry } from '../record.ts';
import { ONE_KEY, rowMaker } from './rows.ts';

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;

const NX = 1 << 0;
const XX = 1 << 1;
const GT = 1 << 2;
const LT = 1 << 3;

/** Reads the conditions behind the time; -1 after an error reply. */
function parseConditions(c: Call): number {
  let flags = 0;
  for (let i = 3; i < c.argc; i++) {
    if (c.is(i, 'NX')) flags |= NX;
    else if (c.is(i, 'XX')) flags |= XX;
    else if (c.is(i, 'GT')) flags |= GT;
    else if (c.is(i, 'LT')) flags |= LT;
    else {
      c.reply.error(`ERR Unsupported option ${c.shown(i)}`);
      return -1;
    }
  }
  if ((flags & NX) !== 0 && (flags & (XX | GT | LT)) !== 0) {
    c.reply.error('ERR NX and XX, GT or LT options at the same time are not compatible');
    return -1;
  }
  if ((flags & GT) !== 0 && (flags & LT) !== 0) {
    c.reply.error('ERR GT and LT options at the same time are not compatible');
    return -1;
  }
  return flags;
}

function setExpire(c: Call, name: string, baseMs: number, unitMs: number): void {
  const flags = parseConditions(c);
  if (flags < 0) return;
  if (!c.long(2)) return c.reply.error(ERR.NOT_INTEGER);
  let atMs = c.num * unitMs;
  if (!Number.isSafeInteger(atMs + baseMs)) {
    // Beyond doubles' exact range the bounds of Redis's 64-bit arithmetic decide.
    const big = c.bigNum * BigInt(unitMs);
    if (big < INT64_MIN || big > INT64_MAX - BigInt(baseMs)) return c.reply.error(invalidExpire(name));
  }
  atMs += baseMs;

  const record = lookupWrite(c, 1);
  if (record === 0) return c.reply.int(0);
  const a = c.arena;
  if (flags !== 0) {
    // No expiry counts as an infinite one.
    const current = recordExpiry(a, record);
    if ((flags & NX) !== 0 && current !== Number.POSITIVE_INFINITY) return c.reply.int(0);
    if ((flags & XX) !== 0 && current === Number.POSITIVE_INFINITY) return c.reply.int(0);
    if ((flags & GT) !== 0 && atMs <= current) return c.reply.int(0);
    if ((flags & LT) !== 0 && atMs >= current) return c.reply.int(0);
  }
  if (atMs <= c.nowMs) deleteRecord(a, record);
  else setExpiry(a, record, atMs);
  c.dirty++;
  c.reply.int(1);
}

function expire(c: Call): void {
  setExpire(c, 'expire', c.nowMs, 1000);
}

function pexpire(c: Call): void {
  setExpire(c, 'pexpire', c.nowMs, 1);
}

function expireat(c: Call): void {
  setExpire(c, 'expireat', 0, 1000);
}

function pexpireat(c: Call): void {
  setExpire(c, 'pexpireat', 0, 1);
}

/** Replies with the key's expiry, absolute or from now on, in `unitMs`; -1 for a key without, -2 for no key. */
function replyExpiry(c: Call, unitMs: number, relative: boolean): void {
  const record = lookupPeek(c, 1);
  if (record === 0) return c.reply.int(-2);
  const atMs = recordExpiry(c.arena, record);
  if (atMs === Number.POSITIVE_INFINITY) return c.reply.int(-1);
  const ms = relative ? Math.max(0, atMs - c.nowMs) : atMs;
  const value = unitMs === 1 ? ms : Math.floor((ms + 500) / 1000);
  if (Number.isSafeInteger(value)) return c.reply.int(value);
  const big = BigInt(value);
  c.reply.bigInt(big > INT64_MAX ? INT64_MAX : big);
}

function ttl(c: Call): void {
  replyExpiry(c, 1000, true);
}

function pttl(c: Call): void {
  replyExpiry(c, 1, true);
}

function expiretime(c: Call): void {
  replyExpiry(c, 1000, false);
}

function pexpiretime(c: Call): void {
  replyExpiry(c, 1, false);
}

function persist(c: Call): void {
  const record = lookupWrite(c, 1);
  if (record === 0 || clearExpiry(c.arena, record) === record) return c.reply.int(0);
  c.dirty++;
  c.reply.int(1);
}

const W = WRITE | FAST | GROWS;
const R = READONLY | FAST;
const O1 = 'O(1)';
const row = rowMaker('generic', ['keyspace']);

export const expireRows: CommandRow[] = [
  row('expire', -3, W, ONE_KEY, '1.0.0', O1, 'Lets a key expire after some seconds', expire),
  row('expireat', -3, W, ONE_KEY, '1.2.0', O1, 'Lets a key expire at a Unix time in seconds', expireat),
  row('expiretime', 2, R, ONE_KEY, '7.0.0', O1, 'Returns the Unix time in seconds at which a key expires', expiretime),
  row('persist', 2, WRITE | FAST, ONE_KEY, '2.2.0', O1, 'Takes the expiry of a key away', persist),
  row('pexpire', -3, W, ONE_KEY, '2.6.0', O1, 'Lets a key expire after some milliseconds', pexpire),
  row('pexpireat', -3, W, ONE_KEY, '2.6.0', O1, 'Lets a key expire at a Unix time in milliseconds', pexpireat),
  row(
    'pexpiretime',
    2,
    R,
    ONE_KEY,
    '7.0.0',
    O1,
    'Returns the Unix time in milliseconds at which a key expires',
    pexpiretime,
  ),
  row('pttl', 2, R, ONE_KEY, '2.6.0', O1, 'Returns the milliseconds until a key expires', pttl),
  row('ttl', 2, R, ONE_KEY, '1.0.0', O1, 'Returns the seconds until a key expires', ttl),
];

/**
 * SET with options, and the commands that set or read a string and change its expiry: SETEX, PSETEX, SETNX, GETSET,
 * GETEX, GETDEL. Handlers; run under the shard's lock.
 */

import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR, invalidExpire } from '../errors.ts';
import { clearExpiry, deleteRecord, lookupRead, lookupWrite, setExpiry } from '../keyspace.ts';
import { isString, KEEP_EXPIRY, setString, stringLength, stringStart } from '../types/string.ts';

const NX = 1 << 0;
const XX = 1 << 1;
const GET = 1 << 2;
const KEEPTTL = 1 << 3;
const PERSIST = 1 << 4;
const EX = 1 << 5;
const PX = 1 << 6;
const EXAT = 1 << 7;
const PXAT = 1 << 8;
const ANY_EXPIRE = EX | PX | EXAT | PXAT;

/** The results of `parseOptions`: flags, and which argument is the expire time (0: none). */
let options = 0;
let expireArg = 0;

/** Reads the options of SET (`ofSet`) or GETEX from argument `from` on. False when they make no sense. */
function parseOptions(c: Call, from: number, ofSet: boolean): boolean {
  options = 0;
  expireArg = 0;
  for (let i = from; i < c.argc; i++) {
    const flag = optionOf(c, i, ofSet);
    if (flag === 0 || (options & conflicting(flag)) !== 0) return false;
    options |= flag;
    if ((flag & ANY_EXPIRE) !== 0) {
      if (++i >= c.argc) return false;
      expireArg = i;
    }
  }
  return true;
}

function optionOf(c: Call, i: number, ofSet: boolean): number {
  if (c.is(i, 'EX')) return EX;
  if (c.is(i, 'PX')) return PX;
  if (c.is(i, 'EXAT')) return EXAT;
  if (c.is(i, 'PXAT')) return PXAT;
  if (!ofSet) return c.is(i, 'PERSIST') ? PERSIST : 0;
  if (c.is(i, 'NX')) return NX;
  if (c.is(i, 'XX')) return XX;
  if (c.is(i, 'GET')) return GET;
  return c.is(i, 'KEEPTTL') ? KEEPTTL : 0;
}

/** The options that may not stand beside one; the same one twice is allowed, and the last counts. */
function conflicting(flag: number): number {
  if (flag === NX) return XX;
  if (flag === XX) return NX;
  if (flag === GET) return 0;
  return (ANY_EXPIRE | KEEPTTL | PERSIST) & ~flag;
}

const INT64_MAX = 9223372036854775807n;

/** The absolute time, ms since 1970, that argument i means under `flag`; 0 after an error reply. */
function expireTime(c: Call, i: number, flag: number, name: string): number {
  if (!c.long(i)) {
    c.reply.error(ERR.NOT_INTEGER);
    return 0;
  }
  const inSeconds = (flag & (EX | EXAT)) !== 0;
  const base = (flag & (EX | PX)) !== 0 ? c.nowMs : 0;
  let atMs = (inSeconds ? c.num * 1000 : c.num) + base;
  // Beyond doubles' exact range the bounds of Redis's 64-bit arithmetic decide.
  if (!Number.isSafeInteger(atMs)) {
    const big = c.bigNum * (inSeconds ? 1000n : 1n);
    atMs = big > INT64_MAX || big + BigInt(base) > INT64_MAX ? 0 : atMs;
  }
  if (c.num > 0 && atMs > 0) return atMs;
  c.reply.error(invalidExpire(name));
  return 0;
}

export function setWithOptions(c: Call): void {
  if (!parseOptions(c, 3, true)) return c.reply.error(ERR.SYNTAX);
  const flags = options;
  let expireAtMs = (flags & KEEPTTL) === 0 ? 0 : KEEP_EXPIRY;
  if (expireArg !== 0) {
    expireAtMs = expireTime(c, expireArg, flags, 'set');
    if (expireAtMs === 0) return;
  }
  const record = lookupForSet(c, flags);
  if (record < 0) return;
  const stays = (flags & NX) !== 0 ? record !== 0 : (flags & XX) !== 0 && record === 0;
  if (stays) {
    if ((flags & GET) === 0) c.reply.nil();
    return;
  }
  setString(c, 1, record, c.buf, c.off[2], c.len[2], expireAtMs);
  c.dirty++;
  if ((flags & GET) === 0) c.reply.ok();
}

/** The live record of the key, having replied with its string if GET asks for that; -1 after an error reply. */
function lookupForSet(c: Call, flags: number): Offset {
  if ((flags & GET) !== 0 && !replyString(c, lookupRead(c, 1))) return -1;
  return lookupWrite(c, 1);
}

/** Replies with the string of a record, or nil for none; false after a WRONGTYPE reply. */
function replyString(c: Call, record: Offset): boolean {
  const a = c.arena;
  if (record === 0) {
    c.reply.nil();
  } else if (isString(a, record)) {
    c.reply.bulk(a.u8, stringStart(a, record), stringLength(a, record));
  } else {
    c.reply.error(ERR.WRONGTYPE);
    return false;
  }
  return true;
}

export function setex(c: Call): void {
  setExpiring(c, EX, 'setex');
}

export function psetex(c: Call): void {
  setExpiring(c, PX, 'psetex');
}

function setExpiring(c: Call, flag: number, name: string): void {
  const expireAtMs = expireTime(c, 2, flag, name);
  if (expireAtMs === 0) return;
  setString(c, 1, lookupWrite(c, 1), c.buf, c.off[3], c.len[3], expireAtMs);
  c.dirty++;
  c.reply.ok();
}

export function setnx(c: Call): void {
  if (lookupWrite(c, 1) !== 0) return c.reply.int(0);
  setString(c, 1, 0, c.buf, c.off[2], c.len[2], 0);
  c.dirty++;
  c.reply.int(1);
}

export function getset(c: Call): void {
  if (!replyString(c, lookupRead(c, 1))) return;
  setString(c, 1, lookupWrite(c, 1), c.buf, c.off[2], c.len[2], 0);
  c.dirty++;
}

export function getdel(c: Call): void {
  if (!replyString(c, lookupRead(c, 1))) return;
  const record = lookupWrite(c, 1);
  if (record === 0) return;
  deleteRecord(c.arena, record);
  c.dirty++;
}

export function getex(c: Call): void {
  if (!parseOptions(c, 2, false)) return c.reply.error(ERR.SYNTAX);
  const flags = options;
  const record = lookupRead(c, 1);
  if (record === 0) return c.reply.nil();
  const a = c.arena;
  if (!isString(a, record)) return c.reply.error(ERR.WRONGTYPE);
  let expireAtMs = 0;
  if (expireArg !== 0) {
    expireAtMs = expireTime(c, expireArg, flags, 'getex');
    if (expireAtMs === 0) return;
  }
  c.reply.bulk(a.u8, stringStart(a, record), stringLength(a, record));
  if ((flags & (EXAT | PXAT)) !== 0 && expireAtMs <= c.nowMs) {
    deleteRecord(a, record);
    c.dirty++;
  } else if (expireAtMs !== 0) {
    setExpiry(a, record, expireAtMs);
    c.dirty++;
  } else if ((flags & PERSIST) !== 0 && clearExpiry(a, record) !== record) {
    c.dirty++;
  }
}

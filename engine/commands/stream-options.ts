/**
 * The options of XADD and XTRIM, read in Redis's own order since the first error wins, and the ids of ranges. Pure but for
 * the error replies; results lie in module-level scratch until the next call.
 */
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { settingIndex } from '../settings.ts';
import { TRIM_MAXLEN, TRIM_MINID, TRIM_NONE, Trim } from '../types/stream.ts';
import {
  clearId,
  decrementId,
  ID_GIVEN,
  ID_INVALID,
  ID_WORDS,
  incrementId,
  maximumId,
  parseId,
} from '../types/stream-id.ts';

const NODE_MAX_ENTRIES = settingIndex('stream-node-max-entries');
/** Without LIMIT, approximate trimming drops the entries of so many nodes at a time. */
const LIMIT_NODES = 100;
const LIMIT_WITHOUT_NODES = 10_000;
const MAX_LIMIT = 1_000_000;

const STAR = 42;
const DASH = 45;
const PLUS = 43;
const TILDE = 126;
const EQUALS = 61;
const OPEN = 40;

/** What the last `parseAdd` or `parseTrim` read. */
export const trim = new Trim();
export const addId = new Uint32Array(ID_WORDS);
/** How XADD's id was given: ID_INVALID for `*`, ID_GIVEN, or ID_AUTO_SEQUENCE. */
export let addIdForm = ID_INVALID;
export let noMakeStream = false;

function isByte(c: Call, i: number, byte: number): boolean {
  return c.len[i] === 1 && c.buf[c.off[i]] === byte;
}

/** Reads argument i as an id as XADD, XDEL and XSETID take it; else replies the error. The sequence is 0 when left out. */
export function strictId(c: Call, i: number, to: Uint32Array, at: number): boolean {
  if (parseId(c.buf, c.off[i], c.len[i], 0, to, at) === ID_GIVEN) return true;
  c.reply.error(ERR.STREAM_ID);
  return false;
}

/**
 * Reads an end of an interval: an id, `-` or `+`, or after `(` an id that is not included. `missing` is both words of the
 * sequence when it is left out. Replies the error if there is one.
 */
export function intervalId(c: Call, i: number, isEnd: boolean, to: Uint32Array, at: number): boolean {
  if (isByte(c, i, DASH)) clearId(to, at);
  else if (isByte(c, i, PLUS)) maximumId(to, at);
  else {
    const excluded = c.len[i] > 1 && c.buf[c.off[i]] === OPEN ? 1 : 0;
    const missing = isEnd ? 0xffffffff : 0;
    if (parseId(c.buf, c.off[i] + excluded, c.len[i] - excluded, missing, to, at) !== ID_GIVEN) {
      c.reply.error(ERR.STREAM_ID);
      return false;
    }
    if (excluded === 1 && !(isEnd ? decrementId(to, at) : incrementId(to, at))) {
      c.reply.error(isEnd ? ERR.STREAM_END : ERR.STREAM_START);
      return false;
    }
  }
  return true;
}

/** Reads XADD's options and id from argument 2 on. Returns where the fields begin, -1 after an error reply. */
export function parseAdd(c: Call): number {
  return parse(c, true);
}

/** Reads XTRIM's options from argument 2 on. False after an error reply. */
export function parseTrim(c: Call): boolean {
  return parse(c, false) >= 0;
}

function parse(c: Call, isAdd: boolean): number {
  trim.strategy = TRIM_NONE;
  trim.approximate = false;
  trim.limit = 0;
  addIdForm = ID_INVALID;
  noMakeStream = false;
  let limited = false;
  let i = 2;
  for (; i < c.argc; i++) {
    const more = c.argc - 1 - i;
    if (isAdd && isByte(c, i, STAR)) break;
    if (more > 0 && c.is(i, 'MAXLEN')) i = parseStrategy(c, i, TRIM_MAXLEN);
    else if (more > 0 && c.is(i, 'MINID')) i = parseStrategy(c, i, TRIM_MINID);
    else if (more > 0 && c.is(i, 'LIMIT')) {
      i = parseLimit(c, i + 1);
      limited = true;
    } else if (isAdd && c.is(i, 'NOMKSTREAM')) noMakeStream = true;
    else if (isAdd) {
      addIdForm = parseId(c.buf, c.off[i], c.len[i], 0, addId, 0);
      if (addIdForm !== ID_INVALID) break;
      return fail(c, ERR.STREAM_ID);
    } else return fail(c, ERR.SYNTAX);
    if (i < 0) return -1;
  }
  const error = trimError(c, isAdd, limited);
  // Nodes are not the same on all replicas: one that was loaded from a snapshot has others.
  if (c.isReplica) trim.approximate = false;
  return error === '' ? i + 1 : fail(c, error);
}

function fail(c: Call, text: string): number {
  c.reply.error(text);
  return -1;
}

/** Reads what follows MAXLEN or MINID, which is argument i; returns the last argument read. */
function parseStrategy(c: Call, i: number, strategy: number): number {
  if (trim.strategy !== TRIM_NONE) return fail(c, ERR.MAXLEN_AND_MINID);
  trim.approximate = false;
  if (c.argc - 1 - i >= 2) {
    if (isByte(c, i + 1, TILDE)) {
      trim.approximate = true;
      i++;
    } else if (isByte(c, i + 1, EQUALS)) i++;
  }
  i++;
  trim.strategy = strategy;
  if (strategy === TRIM_MINID) return strictId(c, i, trim.minId, 0) ? i : -1;
  if (!c.long(i)) return fail(c, ERR.NOT_INTEGER);
  if (c.num < 0) return fail(c, ERR.TRIM_MAXLEN_NEGATIVE);
  trim.maxLength = c.num;
  return i;
}

function parseLimit(c: Call, i: number): number {
  if (!c.long(i)) return fail(c, ERR.NOT_INTEGER);
  if (c.num < 0) return fail(c, ERR.TRIM_LIMIT_NEGATIVE);
  trim.limit = c.num;
  return i;
}

/** What is wrong with the options together, '' for nothing; sets the limit that approximate trimming has without LIMIT. */
function trimError(c: Call, isAdd: boolean, limited: boolean): string {
  if (trim.strategy === TRIM_NONE) {
    if (trim.limit > 0) return ERR.LIMIT_NEEDS_STRATEGY;
    if (!isAdd) return ERR.XTRIM_NEEDS_STRATEGY;
  }
  if (limited) return trim.approximate ? '' : ERR.LIMIT_NEEDS_APPROXIMATE;
  if (trim.approximate) {
    const entries = LIMIT_NODES * c.settings.f64[NODE_MAX_ENTRIES];
    trim.limit = entries <= 0 ? LIMIT_WITHOUT_NODES : Math.min(entries, MAX_LIMIT);
  }
  return '';
}

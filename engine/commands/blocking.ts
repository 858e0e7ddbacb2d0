/**
 * The commands that wait for an element: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP, BZPOPMIN, BZPOPMAX, BZMPOP. A handler
 * tries its keys in order; when there is nothing it writes no reply and leaves in `call.blockMs` how long to wait.
 * Waiting, and trying again when one of the keys was written, is net/dispatch.ts's and net/blocking.ts's. Main thread
 * only, under the locks of all the keys' shards.
 */
import type { Call } from '../call.ts';
import { BLOCKING, type CommandRow, DENYOOM, FAST, MOVABLE_KEYS, NOSCRIPT, WRITE } from '../command.ts';
import { ERR } from '../errors.ts';
import { lookupWrite } from '../keyspace.ts';
import { parseDouble, type Request } from '../request.ts';
import { isList, listEnd, replyEntry } from '../types/list.ts';
import { isZset } from '../types/zset.ts';
import { moveElement, parseEnd, parseListPop, popFirstList, removeEnd } from './list.ts';
import { type KeyPositions, NO_KEYS, rowMaker, TWO_KEYS } from './rows.ts';
import { parseZsetPop, popFirstZset, take } from './zset-pop.ts';

/** Milliseconds from here on do not fit 64 bits, where Redis 7.0 gets a negative number. */
const TOO_LONG_MS = 2 ** 63;

/** The timeout in argument i, seconds, as whole milliseconds; -1 when it has replied an error. */
function parseTimeout(c: Call, i: number): number {
  const seconds = parseDouble(c.buf, c.off[i], c.len[i], true);
  if (Number.isNaN(seconds)) {
    c.reply.error(ERR.TIMEOUT_NOT_FLOAT);
    return -1;
  }
  const ms = Math.ceil(seconds * 1000);
  if (ms < 0 || ms >= TOO_LONG_MS) {
    c.reply.error(ERR.TIMEOUT_NEGATIVE);
    return -1;
  }
  // Not -0, which a little less than nothing is rounded up to.
  return ms === 0 ? 0 : ms;
}

function blpop(c: Call): void {
  popElement(c, true);
}

function brpop(c: Call): void {
  popElement(c, false);
}

function popElement(c: Call, front: boolean): void {
  const last = c.argc - 1;
  const timeoutMs = parseTimeout(c, last);
  if (timeoutMs < 0) return;
  for (let i = 1; i < last; i++) {
    const record = lookupWrite(c, i);
    if (record === 0) continue;
    const a = c.arena;
    if (isList(a, record)) {
      c.reply.arrayHeader(2);
      c.reply.bulk(c.buf, c.off[i], c.len[i]);
      replyEntry(a, listEnd(a, record, front), c.reply);
      removeEnd(a, record, front);
      c.dirty++;
      return;
    }
    if (!c.retried) return c.reply.error(ERR.WRONGTYPE);
  }
  c.blockMs = timeoutMs;
}

function bzpopmin(c: Call): void {
  popMember(c, false);
}

function bzpopmax(c: Call): void {
  popMember(c, true);
}

function popMember(c: Call, max: boolean): void {
  const last = c.argc - 1;
  const timeoutMs = parseTimeout(c, last);
  if (timeoutMs < 0) return;
  for (let i = 1; i < last; i++) {
    const record = lookupWrite(c, i);
    if (record === 0) continue;
    const a = c.arena;
    if (isZset(a, record)) {
      c.reply.arrayHeader(3);
      c.reply.bulk(c.buf, c.off[i], c.len[i]);
      take(c, a, record, 1, max, false);
      return;
    }
    if (!c.retried) return c.reply.error(ERR.WRONGTYPE);
  }
  c.blockMs = timeoutMs;
}

function blmove(c: Call): void {
  const from = parseEnd(c, 3);
  const to = parseEnd(c, 4);
  if (from < 0 || to < 0) return c.reply.error(ERR.SYNTAX);
  moveOrWait(c, from === 1, to === 1, 5);
}

function brpoplpush(c: Call): void {
  moveOrWait(c, false, true, 3);
}

function moveOrWait(c: Call, fromFront: boolean, toFront: boolean, timeout: number): void {
  const timeoutMs = parseTimeout(c, timeout);
  if (timeoutMs < 0) return;
  const source = lookupWrite(c, 1);
  if (source === 0 || (c.retried && !isList(c.arena, source))) c.blockMs = timeoutMs;
  else moveElement(c, fromFront, toFront);
}

function blmpop(c: Call): void {
  if (!parseListPop(c, 2)) return;
  const timeoutMs = parseTimeout(c, 1);
  if (timeoutMs >= 0 && !popFirstList(c)) c.blockMs = timeoutMs;
}

function bzmpop(c: Call): void {
  if (!parseZsetPop(c, 2)) return;
  const timeoutMs = parseTimeout(c, 1);
  if (timeoutMs >= 0 && !popFirstZset(c)) c.blockMs = timeoutMs;
}

/** The keys of BLMPOP and BZMPOP; false when the handler will answer with an error without touching a key. */
function countedKeys(request: Request, out: number[]): boolean {
  if (!request.long(2) || request.num < 1 || request.num > request.argc - 3) return false;
  const end = 3 + request.num;
  for (let i = 3; i < end; i++) out.push(i);
  return true;
}

const list = rowMaker('list');
const zset = rowMaker('sorted-set');
const W = WRITE | NOSCRIPT | BLOCKING;
const COUNTED = WRITE | BLOCKING | MOVABLE_KEYS;
/** All arguments but the timeout at the end. */
const KEYS: KeyPositions = [1, -2, 1];
const TRIED = 'O(N) for N keys';

export const blockingRows: CommandRow[] = [
  list('blmove', 6, W | DENYOOM, TWO_KEYS, '6.2.0', 'O(1)', 'Moves an element between lists, or waits for it', blmove),
  {
    ...list(
      'blmpop',
      -5,
      COUNTED,
      NO_KEYS,
      '7.0.0',
      'O(N+M) for N keys and M elements taken',
      'Takes elements off the first list found, or waits',
      blmpop,
    ),
    keys: countedKeys,
  },
  list('blpop', -3, W, KEYS, '2.0.0', TRIED, 'Takes the first element off a list, or waits for one', blpop),
  list('brpop', -3, W, KEYS, '2.0.0', TRIED, 'Takes the last element off a list, or waits for one', brpop),
  list('brpoplpush', 4, W | DENYOOM, TWO_KEYS, '2.2.0', 'O(1)', 'Moves a last element to a head, or waits', brpoplpush),
  {
    ...zset(
      'bzmpop',
      -5,
      COUNTED,
      NO_KEYS,
      '7.0.0',
      'O(K) + O(M*log(N)) for K keys and M members taken',
      'Takes members off the first sorted set found, or waits',
      bzmpop,
    ),
    keys: countedKeys,
  },
  zset(
    'bzpopmax',
    -3,
    W | FAST,
    KEYS,
    '5.0.0',
    'O(log(N))',
    'Takes off the member with the highest score, or waits',
    bzpopmax,
  ),
  zset(
    'bzpopmin',
    -3,
    W | FAST,
    KEYS,
    '5.0.0',
    'O(log(N))',
    'Takes off the member with the lowest score, or waits',
    bzpopmin,
  ),
];

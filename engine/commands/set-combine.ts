/**
 * SINTER, SUNION, SDIFF, their STORE forms and SINTERCARD, over sets in whatever shards. SINTER and SINTERCARD reply as they
 * go; other results are gathered outside the arenas (member-list.ts), then replied or stored, so the target may be one of
 * the sources. Handlers run under the locks of their keys' shards.
 */
import { canHold } from '../alloc.ts';
import { type Arena, type Offset, WORD_SEED0, WORD_SEED1 } from '../arena.ts';
import type { Call } from '../call.ts';
import { ERR } from '../errors.ts';
import { deleteRecord, lookupRead, lookupWrite } from '../keyspace.ts';
import { MemberList } from '../types/member-list.ts';
import { MemberWalk } from '../types/member-walk.ts';
import { areIntegers, isSet, setCost, setHasReached, setSize, setStore } from '../types/set.ts';

interface Source {
  arena: Arena;
  record: Offset;
  size: number;
}

/** The sets that the command at hand reads, without those that are missing. */
const sources: Source[] = [];
/** How many keys have no set, and whether the first one has none. */
let missing = 0;
let firstIsMissing = false;

const walk = new MemberWalk();
const list = new MemberList();

/** Looks up the keys in arguments from `from` up to `to`; false after an error reply. */
function lookupSources(c: Call, from: number, to: number): boolean {
  sources.length = 0;
  missing = 0;
  firstIsMissing = false;
  for (let i = from; i < to; i++) {
    const record = lookupRead(c, i);
    if (record === 0) {
      missing++;
      if (i === from) firstIsMissing = true;
    } else if (isSet(c.arena, record)) {
      sources.push({ arena: c.arena, record, size: setSize(c.arena, record) });
    } else {
      c.reply.error(ERR.WRONGTYPE);
      return false;
    }
  }
  return true;
}

function hasReached(source: Source): boolean {
  return setHasReached(source.arena, source.record, walk);
}

/** Begins to walk over what all sources have, of which none is missing: over the smallest, asking the others. */
function startCommon(): void {
  sources.sort((x, y) => x.size - y.size);
  walk.start(sources[0].arena, sources[0].record);
}

function nextCommon(): boolean {
  const { arena } = sources[0];
  while (walk.next(arena)) {
    let i = 1;
    while (i < sources.length && hasReached(sources[i])) i++;
    if (i === sources.length) return true;
  }
  return false;
}

export function sinter(c: Call): void {
  if (!lookupSources(c, 1, c.argc)) return;
  if (missing > 0) return c.reply.setHeader(0);
  const mark = c.reply.open();
  let count = 0;
  for (startCommon(); nextCommon(); count++) c.reply.bulk(walk.buf, walk.at, walk.length);
  c.reply.closeSet(mark, count);
}

export function sintercard(c: Call): void {
  if (!c.long(1) || c.num < 1) return c.reply.error(ERR.NUMKEYS_NOT_POSITIVE);
  if (c.num > c.argc - 2) return c.reply.error(ERR.NUMKEYS_TOO_MANY);
  const end = c.num + 2;
  let limit = 0;
  for (let i = end; i < c.argc; i += 2) {
    if (!c.is(i, 'LIMIT') || i + 1 === c.argc) return c.reply.error(ERR.SYNTAX);
    if (!c.long(i + 1) || c.num < 0) return c.reply.error(ERR.LIMIT_NEGATIVE);
    limit = c.num;
  }
  if (!lookupSources(c, 2, end)) return;
  let count = 0;
  if (missing === 0) {
    startCommon();
    while ((limit === 0 || count < limit) && nextCommon()) count++;
  }
  c.reply.int(count);
}

export function sinterstore(c: Call): void {
  if (!lookupSources(c, 2, c.argc)) return;
  clearList();
  if (missing === 0) for (startCommon(); nextCommon(); ) gather();
  store(c, areIntegers(c, list));
}

export function sunion(c: Call): void {
  if (!lookupSources(c, 1, c.argc)) return;
  unite();
  replyList(c, areIntegers(c, list));
}

export function sunionstore(c: Call): void {
  if (!lookupSources(c, 2, c.argc)) return;
  unite();
  store(c, areIntegers(c, list));
}

export function sdiff(c: Call): void {
  if (lookupSources(c, 1, c.argc)) replyList(c, subtract(c));
}

export function sdiffstore(c: Call): void {
  if (lookupSources(c, 2, c.argc)) store(c, subtract(c));
}

/** Empties the list; its hash is seeded as that of the sets, of which clients cannot choose members that collide. */
function clearList(): void {
  if (sources.length === 0) return list.clear(0, 0);
  const { u32 } = sources[0].arena;
  list.clear(u32[WORD_SEED0], u32[WORD_SEED1]);
}

/** Appends the member that the walk has reached. */
function gather(): void {
  list.push(walk.buf, walk.at, walk.length, 0);
}

/** Gathers what any source has. */
function unite(): void {
  clearList();
  for (let i = 0; i < sources.length; i++) {
    const { arena, record } = sources[i];
    // The members of one set are distinct.
    const alone = sources.length === 1;
    for (walk.start(arena, record); walk.next(arena); ) {
      if (alone || list.find(walk.buf, walk.at, walk.length) < 0) gather();
    }
  }
}

/**
 * Gathers what the first source has and no other. Of Redis's two ways the one that Redis would take, since the form of what
 * is stored tells which: to ask the others for every member of the first set, or to take the members of the others out of a
 * copy of the first. True when Redis would have the result as integers.
 */
function subtract(c: Call): boolean {
  clearList();
  if (firstIsMissing) return false;
  const [first] = sources;
  let total = 0;
  for (let i = 0; i < sources.length; i++) {
    if (i > 0 && sources[i].arena === first.arena && sources[i].record === first.record) return false;
    total += sources[i].size;
  }
  if (Math.floor((first.size * sources.length) / 2) > total) return subtractFromCopy(c, first);
  const others = sources.slice(1).sort((x, y) => y.size - x.size);
  for (walk.start(first.arena, first.record); walk.next(first.arena); ) if (!others.some(hasReached)) gather();
  return areIntegers(c, list);
}

function subtractFromCopy(c: Call, first: Source): boolean {
  for (walk.start(first.arena, first.record); walk.next(first.arena); ) gather();
  const integers = areIntegers(c, list);
  const gone = new Uint8Array(list.count);
  let left = list.count;
  for (let i = 1; i < sources.length; i++) {
    const { arena, record } = sources[i];
    for (walk.start(arena, record); left > 0 && walk.next(arena); ) {
      const entry = list.find(walk.buf, walk.at, walk.length);
      if (entry < 0 || gone[entry] === 1) continue;
      gone[entry] = 1;
      left--;
    }
  }
  list.drop(gone);
  return integers;
}

/** Replies with the list: integers in order, as Redis has them, anything else in any order. */
function replyList(c: Call, integers: boolean): void {
  c.reply.setHeader(list.count);
  if (integers) list.sort();
  for (let i = 0; i < list.count; i++) {
    const entry = integers ? list.order[i] : i;
    c.reply.bulk(list.bytes, list.starts[entry], list.lengths[entry]);
  }
  list.clear(0, 0);
}

/** Stores the list at the key in argument 1, or deletes the key when it is empty, and replies with its length. */
function store(c: Call, integers: boolean): void {
  const { count } = list;
  if (count === 0) {
    const old = lookupWrite(c, 1);
    if (old !== 0) {
      deleteRecord(c.arena, old);
      c.dirty++;
    }
    return c.reply.int(0);
  }
  c.hashKey(1);
  if (canHold(c.arena, setCost(list))) {
    setStore(c, 1, list, integers, 0);
    c.dirty++;
    c.reply.int(count);
  } else {
    c.reply.error(ERR.ARENA_FULL);
  }
  list.clear(0, 0);
}

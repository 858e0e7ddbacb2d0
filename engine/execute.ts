/**
 * Runs one command on the thread that holds its shards' locks: the checks that every command needs around its handler,
 * the same on the main thread and on workers.
 */
import { ArenaFullError, beLenient, hasRoom, hasRoomFor } from './alloc.ts';
import { type Arena, COUNTER_DIRTY, PAGE_BYTES } from './arena.ts';
import type { Call } from './call.ts';
import { type CommandRow, DENYOOM, SCOPE_ALL, WRITE } from './command.ts';
import { defragment, findRoom, WRITE_BYTES } from './defragment.ts';
import { ERR } from './errors.ts';
import { Footprint } from './footprint.ts';
import { hasSingleKey, markShards } from './locks.ts';
import { repackStrings } from './repack.ts';
import { requestBytes } from './request.ts';
import { settingIndex } from './settings.ts';

const MAXMEMORY = settingIndex('maxmemory');
const APPENDONLY = settingIndex('appendonly');

/** `canHold` for this much is two loads, and leaves 1 MiB for what a command needs beyond its bytes (splits, directories). */
const LEAST_ROOM_BYTES = PAGE_BYTES;

/** What handlers ask for beyond the bytes of their request, at the most (types/list.ts, rename.ts), is less. */
const HANDLER_ROOM_BYTES = 1024 * 1024;
/** What is moved for a command that was accepted before: everything, if need be. */
const ACCEPTED_BYTES = 2 ** 31;

/** Makes room below maxmemory before a write; false when it cannot. */
export interface Evictor {
  makeRoom(call: Call): boolean;
}

/** Runs `row`'s handler on `call`; exactly one reply is in `call.reply` afterwards. Throws only for our own mistakes. */
export function execute(call: Call, row: CommandRow, evictor: Evictor): void {
  if ((row.flags & WRITE) === 0) {
    row.run(call);
    return;
  }
  if (call.settings.f64[MAXMEMORY] > 0 && !evictor.makeRoom(call) && (row.flags & DENYOOM) !== 0) {
    call.reply.error(ERR.OOM);
    return;
  }
  if ((row.flags & DENYOOM) !== 0 && !findsRoomFor(call, row)) {
    call.reply.error(ERR.ARENA_FULL);
    return;
  }
  run(call, row, WRITE_BYTES);
}

const made = new Footprint();

/** As for a long value, what is logged and makes a long one of little has to find room again when it is replayed. */
function findsRoomFor(call: Call, row: CommandRow): boolean {
  made.clear();
  if (row.makes !== undefined && call.settings.f64[APPENDONLY] !== 0 && hasSingleKey(row)) row.makes(call, 0, made);
  if (made.longest <= PAGE_BYTES && hasPlainRoom(call, row)) return true;
  return findsRoom(call, row, WRITE_BYTES, made.longest);
}

/**
 * Runs a command that was accepted before, where it comes from a log: it is refused for nothing, and whoever accepted it found room in
 * memory that was divided otherwise.
 */
export function executeAccepted(call: Call, row: CommandRow): void {
  if ((row.flags & DENYOOM) !== 0 && !hasPlainRoom(call, row)) findsRoom(call, row, ACCEPTED_BYTES);
  beLenient(true);
  run(call, row, ACCEPTED_BYTES);
  beLenient(false);
}

/** The last that can be done for a command that was accepted before: whether it may help. */
function repacks(call: Call, row: CommandRow): boolean {
  let hasMoved = false;
  for (const arena of shardsOf(call, row)) if (repackStrings(arena)) hasMoved = true;
  if (hasMoved) movesAny(call, row, ACCEPTED_BYTES);
  return hasMoved;
}

/** Whether a short request about one key finds room, which it nearly always does: two loads. */
function hasPlainRoom(call: Call, row: CommandRow): boolean {
  return (
    row.lastKey === row.firstKey &&
    row.keys === undefined &&
    requestBytes(call) * 2 <= LEAST_ROOM_BYTES &&
    hasRoom(call.arena, LEAST_ROOM_BYTES)
  );
}

/** Runs the handler; once more, if it finds its shard full, when moving about `budgetBytes` has helped. */
function run(call: Call, row: CommandRow, budgetBytes: number): void {
  const { reply } = call;
  const mark = reply.length;
  const { errors } = reply;
  const { position } = call.random;
  attempt(call, row);
  if (foundNoRoom(call, errors) && movesAny(call, row, budgetBytes)) runAgain(call, row, mark, position);
  if (budgetBytes === ACCEPTED_BYTES && foundNoRoom(call, errors) && repacks(call, row)) {
    runAgain(call, row, mark, position);
  }
  if (call.dirty > 0) call.arena.f64[COUNTER_DIRTY] += call.dirty;
}

/** A handler that found no room has changed nothing, or else it may not run again. */
function foundNoRoom(call: Call, errors: number): boolean {
  return call.reply.errors !== errors && call.reply.lastError === 'OOM' && call.dirty === 0;
}

function runAgain(call: Call, row: CommandRow, mark: number, position: number): void {
  call.reply.rewind(mark);
  call.reply.errors--;
  call.random.reseed(position);
  call.effect?.clear();
  attempt(call, row);
}

function attempt(call: Call, row: CommandRow): void {
  const mark = call.reply.length;
  try {
    row.run(call);
  } catch (error) {
    if (!(error instanceof ArenaFullError)) throw error;
    call.reply.rewind(mark);
    call.reply.error(ERR.ARENA_FULL);
  }
}

/** Makes longer runs of free pages in the shards of the command's keys, if it can. */
function movesAny(call: Call, row: CommandRow, budgetBytes: number): boolean {
  const bytes = requestBytes(call) * 2 + HANDLER_ROOM_BYTES;
  let hasMoved = false;
  for (const arena of shardsOf(call, row)) {
    if (defragment(arena, () => hasRoom(arena, bytes), budgetBytes)) hasMoved = true;
  }
  return hasMoved;
}

/** The shards of the command's keys, which are locked. */
function shardsOf(call: Call, row: CommandRow): readonly Arena[] {
  if (hasSingleKey(row)) return [call.arena];
  const { arenas } = call.shards;
  const needed = new Uint8Array(arenas.length);
  markShards(call, row, needed);
  return arenas.filter((_, i) => needed[i] === 1);
}

/**
 * Whether the shards of the command's keys, which are locked, have room for what it brings and makes, or can make some by moving about
 * `budgetBytes`. SORT finds out by itself: its keys are not all known.
 */
function findsRoom(call: Call, row: CommandRow, budgetBytes: number, madeBytes = 0): boolean {
  const bytes = Math.max(LEAST_ROOM_BYTES, (requestBytes(call) + madeBytes) * 2);
  if (hasSingleKey(row)) return hasRoom(call.arena, bytes) || makesRoom(call, row, bytes, budgetBytes);
  if (row.scope === SCOPE_ALL) return true;
  const { arenas } = call.shards;
  for (let i = 0; i < arenas.length; i++) {
    if (!hasRoom(arenas[i], bytes)) return makesRoom(call, row, bytes, budgetBytes);
  }
  return true;
}

/**
 * The same where there is none in one piece. What has a single key needs one no longer than its longest argument; but what is logged
 * has to find room again when it is replayed, in memory that is divided otherwise.
 */
function makesRoom(call: Call, row: CommandRow, bytes: number, budgetBytes: number): boolean {
  const isLogged = call.settings.f64[APPENDONLY] !== 0;
  const longest =
    hasSingleKey(row) && !isLogged ? Math.max(PAGE_BYTES, longestArgument(call)) : Number.POSITIVE_INFINITY;
  const isRoomy = (a: Arena): boolean => hasRoom(a, bytes) || hasRoomFor(a, bytes, longest);
  return shardsOf(call, row).every((arena) => findRoom(arena, bytes, budgetBytes, isRoomy));
}

function longestArgument(call: Call): number {
  let longest = 0;
  for (let i = 1; i < call.argc; i++) longest = Math.max(longest, call.len[i]);
  return longest;
}

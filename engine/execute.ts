/**
 * Runs one command on the thread that holds its shards' locks: the checks that every command needs around its handler,
 * the same on the main thread and on workers.
 */
import { ArenaFullError, canHold, hasRoom } from './alloc.ts';
import { COUNTER_DIRTY, PAGE_BYTES } from './arena.ts';
import type { Call } from './call.ts';
import { type CommandRow, DENYOOM, SCOPE_ALL, WRITE } from './command.ts';
import { ERR } from './errors.ts';
import { hasSingleKey, markShards } from './locks.ts';
import { settingIndex } from './settings.ts';

const MAXMEMORY = settingIndex('maxmemory');

/** `canHold` for this much is two loads, and leaves 1 MiB for what a command needs beyond its bytes (splits, directories). */
const LEAST_ROOM_BYTES = PAGE_BYTES;

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
  if ((row.flags & DENYOOM) !== 0 && !findsRoom(call, row)) {
    call.reply.error(ERR.ARENA_FULL);
    return;
  }
  const mark = call.reply.length;
  try {
    row.run(call);
  } catch (error) {
    if (!(error instanceof ArenaFullError)) throw error;
    call.reply.rewind(mark);
    call.reply.error(ERR.ARENA_FULL);
  }
  if (call.dirty > 0) call.arena.f64[COUNTER_DIRTY] += call.dirty;
}

/** Whether the shards of the command's keys have room for what it brings. SORT finds out by itself: its keys are not all known. */
function findsRoom(call: Call, row: CommandRow): boolean {
  const bytes = Math.max(LEAST_ROOM_BYTES, requestBytes(call) * 2);
  if (hasSingleKey(row)) return canHold(call.arena, bytes);
  if (row.scope === SCOPE_ALL) return true;
  const { arenas } = call.shards;
  let isRoomy = true;
  for (let i = 0; i < arenas.length && isRoomy; i++) isRoomy = hasRoom(arenas[i], bytes);
  if (isRoomy) return true;
  const needed = new Uint8Array(arenas.length);
  markShards(call, row, needed);
  return arenas.every((arena, i) => needed[i] === 0 || canHold(arena, bytes));
}

function requestBytes(call: Call): number {
  const last = call.argc - 1;
  return call.off[last] + call.len[last] - call.off[0];
}

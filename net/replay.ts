/**
 * Runs the entries of a log again, at start: the same commands with the same clocks and the same randomness, in the order
 * in which they were accepted, so that the data set comes out the same. Main thread, which holds all shards. About half a
 * million short writes a second.
 */
import { compactStep } from '../engine/alloc.ts';
import { COUNTER_NEXT_EXPIRY } from '../engine/arena.ts';
import type { Call } from '../engine/call.ts';
import { arityFits, BLOCKING, type CommandTable, WRITE } from '../engine/command.ts';
import { execute, executeAccepted } from '../engine/execute.ts';
import { expireDue } from '../engine/keyspace.ts';
import { hasSingleKey, markShards } from '../engine/locks.ts';
import { BatchReader, FAILED_SEED } from '../engine/log/batch.ts';
import { settingIndex } from '../engine/settings.ts';

const DATABASES = settingIndex('databases');
const NO_EVICTION = { makeRoom: () => true };
/** Commands that had succeeded with a database in their arguments fail for no other reason. */
const NAMES_DATABASE = new Set(['move', 'copy', 'swapdb']);
/** Buckets looked at for expired keys after a command whose shard has some. */
const EXPIRE_BUCKETS = 4;

/** The log holds what this version cannot run. */
export class ReplayError extends Error {}

export class Replayer {
  /** Commands run, and how many of them gave an error, as they did the first time where workers ran them; and the first of these. */
  commands = 0;
  errors = 0;
  firstError = '';
  /** The first that gave an error now, and had none then; '' for none. */
  unexpected = '';
  /** The latest time of a command. */
  lastMs = 0;
  private readonly call: Call;
  private readonly table: CommandTable;
  private readonly batch = new BatchReader();
  private readonly needed: Uint8Array;

  constructor(call: Call, table: CommandTable) {
    this.call = call;
    this.table = table;
    this.needed = new Uint8Array(call.shards.arenas.length);
  }

  /**
   * Runs the entry with this index, bytes[start, end). Throws ReplayError, or BatchError. A command that finds no room now was
   * acknowledged: without it the data would not be what clients were told.
   */
  run(index: number, bytes: Uint8Array, start: number, end: number): void {
    const { call, batch } = this;
    const { reply } = call;
    // What clients are told meanwhile waits in the same buffer: nothing of it may be lost.
    const mark = reply.length;
    batch.open(bytes, start, end);
    while (batch.next(call)) {
      const row = this.table.resolve(call);
      if (row === undefined || !arityFits(row, call.argc) || (row.flags & WRITE) === 0) {
        throw new ReplayError(
          `entry ${index} of the log holds a command that this version does not know: ${call.shown(0, 64)}`,
        );
      }
      if (call.db >= call.settings.f64[DATABASES]) {
        throw new ReplayError(`entry ${index} of the log is about database ${call.db}: start with more --databases`);
      }
      call.begin(row);
      // As the dispatcher does: whether there is room goes by the shard that was found last.
      if (hasSingleKey(row)) call.hashKey(row.firstKey);
      else markShards(call, row, this.needed);
      // A blocking command that had waited passed over keys of a wrong type; one that had not found none before it took
      // something. The others are logged although they failed, where workers ran them.
      call.retried = (row.flags & BLOCKING) !== 0;
      const { errors } = reply;
      call.isReplay = true;
      if (this.hadFailed) execute(call, row, NO_EVICTION);
      else executeAccepted(call, row);
      call.isReplay = false;
      reply.length = mark;
      if (reply.errors !== errors) this.failed(index);
      this.commands++;
      if (call.nowMs > this.lastMs) this.lastMs = call.nowMs;
      this.keepHouse(hasSingleKey(row));
    }
  }

  /** It was done in part, and found no room for the rest. */
  private get hadFailed(): boolean {
    return this.batch.hasSeed && this.batch.seed === FAILED_SEED;
  }

  private failed(index: number): void {
    const { call } = this;
    const what = `${call.shown(0, 64)} of entry ${index}: ${call.reply.lastError}`;
    // Workers get no write that might find no room; other errors of theirs are in the log too, and have a seed (net/writes.ts).
    if (call.reply.lastError === 'OOM' && !this.hadFailed) {
      throw new ReplayError(
        `the log cannot be run again, there is no room: ${what}. Start with a larger --arena-size, or more --shards`,
      );
    }
    if (!this.batch.hasSeed && NAMES_DATABASE.has(call.row?.name ?? '')) {
      throw new ReplayError(
        `the log cannot be run again: ${what}. It is about another database: start with more --databases`,
      );
    }
    if (!this.batch.hasSeed) this.unexpected ||= what;
    else if (this.errors++ === 0) this.firstError = what;
  }

  /** What workers do between commands. */
  private keepHouse(isOneShard: boolean): void {
    const { call } = this;
    if (isOneShard) return this.keep(call.arena);
    for (const arena of call.shards.arenas) this.keep(arena);
  }

  private keep(arena: Call['arena']): void {
    compactStep(arena);
    if (arena.f64[COUNTER_NEXT_EXPIRY] <= this.call.nowMs) expireDue(arena, this.call.nowMs, EXPIRE_BUCKETS);
  }
}

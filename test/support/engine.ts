/**
 * An engine in this process without sockets or threads: shards, settings and one `Call`. Runs a command and returns the
 * bytes of its reply, as a Latin-1 string.
 */
import { compactStep } from '../../engine/alloc.ts';
import type { Arena } from '../../engine/arena.ts';
import { Call } from '../../engine/call.ts';
import { arityFits, type CommandRow, CommandTable, unknownCommand, WRITE } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { wrongArity } from '../../engine/errors.ts';
import { execute } from '../../engine/execute.ts';
import { expireDue, tableOf } from '../../engine/keyspace.ts';
import { freeBuried } from '../../engine/lazyfree.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import { TableWalk, tableVerify } from '../../engine/table.ts';
import { verifyValue } from '../../engine/values.ts';

export type Arg = string | number | Uint8Array;

const MIB = 1024 * 1024;
const NO_EVICTION = { makeRoom: () => true };
const FREED_BUCKETS = 1000;

export class TestEngine {
  readonly settings = new Settings();
  readonly shards: Shards;
  readonly call: Call;
  readonly table = new CommandTable(engineRows);
  /** The time commands see; undefined: the wall clock. */
  nowMs: number | undefined;

  /** Whether what is to be freed lazily is freed behind each command, as by a worker that has time. */
  private readonly frees: boolean;

  constructor(options: { shards?: number; arenaBytes?: number; hashSeeds?: [number, number]; frees?: boolean } = {}) {
    const { shards = 4, arenaBytes = 256 * MIB, hashSeeds = [1, 2], frees = true } = options;
    this.frees = frees;
    this.shards = Shards.create(shards, arenaBytes, 16, hashSeeds);
    this.call = new Call(this.shards, this.settings);
  }

  /** Runs one command given as its arguments. */
  run(...args: Arg[]): string {
    return this.runBy((row) => row.run(this.call), args);
  }

  /** Runs it as a node does: with a look at the room first, and an error when there is none in the middle. */
  execute(...args: Arg[]): string {
    return this.runBy((row) => execute(this.call, row, NO_EVICTION), args);
  }

  /** Has `act` do what it likes with the command, which is in `call`. */
  runBy(act: (row: CommandRow) => void, args: Arg[]): string {
    const call = this.call;
    const parts = args.map((arg) => (typeof arg === 'object' ? Buffer.from(arg) : Buffer.from(String(arg), 'utf8')));
    call.buf = new Uint8Array(Buffer.concat(parts));
    call.reserveArgs(parts.length);
    call.argc = parts.length;
    let at = 0;
    for (let i = 0; i < parts.length; i++) {
      call.off[i] = at;
      call.len[i] = parts[i].length;
      at += parts[i].length;
    }
    call.setClock(this.nowMs ?? Date.now());
    call.reply.length = 0;
    const row = this.table.resolve(call);
    if (row !== undefined) call.begin(row);
    if (row === undefined) call.reply.error(unknownCommand(this.table, call));
    else if (!arityFits(row, call.argc)) call.reply.error(wrongArity(row.name));
    else act(row);
    if (row !== undefined && row.flags & WRITE) {
      for (const arena of this.shards.arenas) {
        if (this.frees) while (freeBuried(arena, FREED_BUCKETS));
        compactStep(arena);
      }
    }
    return Buffer.from(call.reply.u8.subarray(0, call.reply.length)).toString('latin1');
  }

  /** Splits a line at spaces and runs it. */
  line(text: string): string {
    return this.run(...text.split(' '));
  }

  /** Deletes what has expired, in every shard. */
  expire(): void {
    for (const arena of this.shards.arenas) expireDue(arena, this.nowMs ?? Date.now(), 1e9);
  }

  /** Walks every table and every value and throws at the first broken invariant. */
  verify(): void {
    for (const arena of this.shards.arenas) this.verifyArena(arena);
  }

  private verifyArena(arena: Arena): void {
    const walk = new TableWalk();
    for (let db = 0; db < 16; db++) {
      const t = tableOf(arena, db);
      if (t === 0) continue;
      tableVerify(arena, t);
      walk.start();
      for (let record = walk.next(arena, t); record !== 0; record = walk.next(arena, t)) verifyValue(arena, record);
    }
  }
}

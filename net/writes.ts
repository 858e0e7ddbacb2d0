/**
 * Writes on their way into the log. Main thread; the dispatcher asks.
 *
 * What runs here is logged after it ran, if it changed anything (or what its handler says it did: engine/effect.ts); what
 * a worker will run, as it is handed over, whether it changes anything or not. Keys that are evicted go into the log before the write that they make room for.
 */

import type { Arena, Offset } from '../engine/arena.ts';
import type { Call } from '../engine/call.ts';
import { type CommandRow, DENYOOM, WRITE } from '../engine/command.ts';
import { Effect } from '../engine/effect.ts';
import type { Eviction, EvictionGuard } from '../engine/eviction.ts';
import { execute, executeAccepted } from '../engine/execute.ts';
import { databaseOf } from '../engine/keyspace.ts';
import { FAILED_SEED } from '../engine/log/batch.ts';
import type { LogFront } from '../engine/log/front.ts';
import { keyLength, keyStart, recordKeyspace } from '../engine/record.ts';
import { usableSize } from '../engine/spans.ts';
import { valueBytes } from '../engine/values.ts';
import type { Proposals } from './replica/proposals.ts';

export class Writes implements EvictionGuard {
  /** On a replica, where what runs here are entries of the group's log: what is to become such. */
  proposals: Proposals | undefined = undefined;
  /** Where accepted writes go; undefined while none is kept. */
  private kept: LogFront | undefined = undefined;
  private readonly effect = new Effect();
  private readonly call: Call;
  private readonly evictor: Eviction;
  private readonly queued: Int32Array;

  /** `queued`: by shard, how many commands workers have; keys of such a shard are not evicted, since those come before. */
  constructor(call: Call, evictor: Eviction, queued: Int32Array) {
    this.call = call;
    this.evictor = evictor;
    this.queued = queued;
    evictor.guard = this;
  }

  get log(): LogFront | undefined {
    return this.kept;
  }

  set log(log: LogFront | undefined) {
    this.kept = log;
    this.call.effect = log === undefined ? undefined : this.effect;
    this.effect.clear();
  }

  /** Whether the row's command has to wait for room in the log. */
  mustWait(row: CommandRow): boolean {
    return this.log !== undefined && !this.log.isOpen && (row.flags & WRITE) !== 0;
  }

  /** Runs a command here, with its shards' locks held. */
  perform(row: CommandRow): void {
    const { call, log } = this;
    if (this.proposals !== undefined) {
      // An entry of the group's log, or a read.
      if ((row.flags & WRITE) !== 0) executeAccepted(call, row);
      else row.run(call);
      return;
    }
    if (log === undefined || (row.flags & WRITE) === 0) {
      execute(call, row, this.evictor);
      return;
    }
    const position = call.random.position;
    const { errors } = call.reply;
    execute(call, row, this.evictor);
    if (call.dirty === 0) return;
    if (this.effect.argc === 0) {
      const hasDrawn = call.random.position !== position;
      return log.append(call, call, hasDrawn ? position : call.reply.errors !== errors ? FAILED_SEED : 0);
    }
    log.append(this.effect, call, 0);
    this.effect.clear();
  }

  /**
   * Before a command goes to a worker: makes room in memory, since with a log workers do not evict. False when there is none
   * and the command needs it.
   */
  makeRoom(row: CommandRow): boolean {
    if (this.log === undefined || (row.flags & WRITE) === 0) return true;
    return this.evictor.makeRoom(this.call) || (row.flags & DENYOOM) === 0;
  }

  /** A command has gone to a worker, to run with this seed. */
  handedOver(row: CommandRow, seed: number): void {
    if (this.log !== undefined && (row.flags & WRITE) !== 0) this.log.append(this.call, this.call, seed);
  }

  /** On a replica: makes room for a write before it is proposed; false when there is none. What goes, goes by the log. */
  mayGrow(): boolean {
    return this.evictor.makeRoom(this.call);
  }

  /** Keys that were proposed to go have gone: so many bytes. */
  evicted(bytes: number): void {
    this.evictor.deferredBytes -= bytes;
  }

  // ---------------------------------------------------------------- what eviction asks (EvictionGuard)

  get defers(): boolean {
    return this.proposals !== undefined;
  }

  mayEnter(shard: number): boolean {
    return this.queued[shard] === 0;
  }

  evicting(a: Arena, record: Offset): void {
    const { proposals } = this;
    if (this.log === undefined && proposals === undefined) return;
    const { nowMs } = this.call;
    const db = databaseOf(a, recordKeyspace(a, record));
    const start = keyStart(a, record);
    const length = keyLength(a, record);
    if (proposals !== undefined) {
      proposals.stageUnlink(nowMs, db, a.u8, start, length, usableSize(a, record) + valueBytes(a, record));
    } else {
      this.log?.appendUnlink(nowMs, db, a.u8, start, length);
    }
  }
}

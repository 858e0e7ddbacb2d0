/**
 * Decides where a command runs, and runs it: on this thread, with the shards borrowed from their workers, or on a worker,
 * over its ring. Main thread only.
 *
 * The main thread keeps a shard it has borrowed until the tick ends, so that a pipeline takes each lock once. A command
 * may run here only when nothing for its shard is queued, so that commands on one key keep their order. `auto` runs here
 * what costs less than handing it over; `inline` always, waiting for a lock if it must; `ring` never.
 *
 * Writes take effect in the order in which this thread accepts them, shard by shard: that order is the log's. What
 * workers have queued for one shard they run in order; a write over several shards, or one that must run here, waits
 * until nothing is queued for its shards, behind a *fence* that lets no more in.
 *
 * Blocking commands, and writes of keys that somebody waits for, run here in every mode: who waits is known here.
 *
 * Behind this file: dispatch-shards.ts (which shards are borrowed, what is queued for them, who waits), dispatch-several.ts (commands
 * over several), dispatch-inplace.ts (what runs here in every mode), dispatch-replies.ts (replies that come later),
 * dispatch-read.ts (the prefix READ), dispatch-applying.ts (a group's entries), dispatch-exclusive.ts (what the server does with all
 * shards), writes.ts (the log).
 */
import { compactStep } from '../engine/alloc.ts';
import type { Arena } from '../engine/arena.ts';
import type { Call } from '../engine/call.ts';
import {
  arityFits,
  BLOCKING,
  type CommandRow,
  CommandTable,
  NO_AUTH,
  SCOPE_NONE,
  unknownCommand,
  WRITE,
} from '../engine/command.ts';
import { engineRows } from '../engine/commands/index.ts';
import { ERR, wrongArity } from '../engine/errors.ts';
import type { Eviction } from '../engine/eviction.ts';
import { hasSingleKey } from '../engine/locks.ts';
import type { LogFront } from '../engine/log/front.ts';
import { Random } from '../engine/random.ts';
import type { Reply } from '../engine/reply.ts';
import { Blocking } from './blocking.ts';
import { type Clients, PAUSE_NONE } from './clients.ts';
import { Applying } from './dispatch-applying.ts';
import { Exclusive } from './dispatch-exclusive.ts';
import { InPlace } from './dispatch-inplace.ts';
import { ReadPrefix } from './dispatch-read.ts';
import { LateReplies } from './dispatch-replies.ts';
import { SeveralShards } from './dispatch-several.ts';
import { MainShards } from './dispatch-shards.ts';
import { DONE, type Executor, type Outcome, QUEUED, STALLED } from './executor.ts';
import type { Fences } from './fences.ts';
import { Refusals } from './refusals.ts';
import { PASS } from './replica/front.ts';
import type { Replication } from './replication.ts';
import type { Session } from './session.ts';
import type { CommandStats } from './stats.ts';
import type { CommandWatch } from './watch.ts';
import type { WorkerPool } from './workers.ts';
import { Writes } from './writes.ts';

export const DISPATCH_MODES = ['auto', 'inline', 'ring'] as const;
export type DispatchMode = (typeof DISPATCH_MODES)[number];

/** A command that takes longer than this on average is given to a worker, in mode `auto`. */
const HAND_OVER_US = 100;
/** Commands over every key start with this cost, until they are measured. */
const HEAVY_US = 1000;
const HEAVY = new Set(['keys', 'flushall', 'flushdb', 'sort', 'sort_ro']);

/**
 * Rows that are logged when they have run: those that tell what is to be logged in their place (engine/effect.ts), always or when they
 * trim approximately, and those that name a database, of which a replay has to know that they had succeeded.
 */
const TELLS = 1;
const TELLS_TRIM = 2;

export class Dispatcher implements Executor {
  readonly call: Call;
  readonly table: CommandTable;
  readonly stats: CommandStats;
  readonly blocking = new Blocking();
  readonly refusals = new Refusals();
  readonly shards: MainShards;
  readonly writes: Writes;
  readonly exclusive: Exclusive;
  readonly replies: LateReplies;
  readonly applying: Applying;
  /** Whose sessions the replies of workers go to. */
  clients: Clients | undefined = undefined;
  /** Set on a replica: where writes go instead of being run at once, and who says when reads may run. */
  replication: Replication | undefined = undefined;
  /** Whether a session's requests are run: `call` is theirs. The end of the turn follows. */
  isInBatch = false;
  private readonly workers: WorkerPool;
  private readonly watch: CommandWatch;
  private readonly mode: DispatchMode;
  private readonly seeds = new Random((Math.random() * 0x7fffffff) | 1);
  readonly inPlace: InPlace;
  private readonly several: SeveralShards;
  private readonly readPrefix: ReadPrefix;
  /** What a command with one key looks at, without the way over `shards`. */
  private readonly arenas: readonly Arena[];
  private readonly held: Uint8Array;
  private readonly queued: Int32Array;
  private readonly fences: Fences;
  private readonly awaited: Map<number, Uint8Array>;
  private readonly readRow: number;
  /** 1 for rows that wait for an element (reads that may, XREAD, do not yet). */
  private readonly waits: Uint8Array;
  /** 1 for rows with exactly one key that workers have too. */
  private readonly single: Uint8Array;
  /** 1 for rows whose handlers say themselves what is to be logged (engine/effect.ts). */
  private readonly effects: Uint8Array;
  /** Rows from this id on are not in the workers' tables. */
  private readonly firstMainRow: number;
  /** Where the name of the command that ran last begins: tells whether `call` still holds that request. */
  private lastName = 0;
  /** Set by `defer` while the command runs. */
  private isDeferred = false;

  constructor(
    call: Call,
    table: CommandTable,
    stats: CommandStats,
    workers: WorkerPool,
    evictor: Eviction,
    watch: CommandWatch,
    mode: DispatchMode,
  ) {
    this.call = call;
    this.table = table;
    this.stats = stats;
    this.workers = workers;
    this.watch = watch;
    this.mode = mode;
    this.shards = new MainShards(call, this, mode === 'inline');
    this.writes = new Writes(call, evictor, this.shards.queued);
    this.firstMainRow = new CommandTable(engineRows).rows.length;
    this.single = Uint8Array.from(table.rows, (row, id) => (id < this.firstMainRow && hasSingleKey(row) ? 1 : 0));
    const tells = new Map([
      ['spop', TELLS],
      ['move', TELLS],
      ['copy', TELLS],
      ['swapdb', TELLS],
      ['xadd', TELLS_TRIM],
      ['xtrim', TELLS_TRIM],
    ]);
    this.effects = Uint8Array.from(table.rows, (row) => tells.get(row.name) ?? 0);
    const waiting = WRITE | BLOCKING;
    this.waits = Uint8Array.from(table.rows, (row) => ((row.flags & waiting) === waiting ? 1 : 0));
    this.exclusive = new Exclusive(this);
    this.several = new SeveralShards(this, workers);
    this.replies = new LateReplies(this, workers, watch, this.several);
    this.inPlace = new InPlace(this, watch);
    this.readPrefix = new ReadPrefix(this);
    this.applying = new Applying(this, workers, this.single);
    this.arenas = this.shards.arenas;
    this.held = this.shards.locks.held;
    this.queued = this.shards.queued;
    this.fences = this.shards.fences;
    this.awaited = this.shards.awaited;
    this.readRow = this.readPrefix.rowId;
    for (const row of table.rows) if (HEAVY.has(row.name)) stats.costUs[row.id] = HEAVY_US;
    stats.onLongRun = (id, calls, excessUs) => {
      watch.slowRun(call, table.rows[id], calls, excessUs, call.off[0] === this.lastName);
    };
  }

  serve(clients: Clients): void {
    this.clients = clients;
    clients.scheduler.clock = this.workers.clock;
  }

  // ---------------------------------------------------------------- a session's commands

  beginBatch(): void {
    this.isInBatch = true;
    this.stats.beginBatch(performance.now());
  }

  execute(session: Session): Outcome {
    const call = this.call;
    const row = this.table.resolve(call);
    if (row === undefined) return this.reject(-1, unknownCommand(this.table, call));
    const id = row.id;
    if (!arityFits(row, call.argc)) return this.reject(id, wrongArity(row.name));
    if (session.authRequired && (row.flags & NO_AUTH) === 0) return this.reject(id, ERR.NO_AUTH);
    if (this.refusals.any) {
      const text = this.refusals.of(row);
      if (text !== '' && !this.blocking.hasEnded(session)) return this.refuse(session, id, text);
    }
    const clients = session.clients;
    if (clients.pauseMode !== PAUSE_NONE && !this.blocking.hasEnded(session) && clients.mustWait(session, row)) {
      this.shards.unfence(session.id);
      return STALLED;
    }
    if (this.awaited.size > 0 && this.awaited.has(session.id)) return this.stall(session);
    if (this.writes.mustWait(row) && !this.blocking.hasEnded(session)) return this.stall(session);
    if (id === this.readRow) return this.readPrefix.execute(session);
    return this.place(session, row, id);
  }

  /** Runs the command in `call` where it has to run, after all checks that need its row and its session alone. */
  place(session: Session, row: CommandRow, id: number): Outcome {
    this.call.begin(row);
    if (this.replication !== undefined) {
      const outcome = this.replication.execute(session, row);
      if (outcome !== PASS) return outcome;
    }
    if (row.scope === SCOPE_NONE) return this.executeForServer(session, row, id);
    if (this.blocking.count > 0 && this.inPlace.concernsWaiting(row)) {
      return this.inPlace.executeWrite(session, row, id);
    }
    if (this.effects[id] === TELLS && this.log !== undefined) return this.inPlace.executeWrite(session, row, id);
    if (this.single[id] === 1) return this.executeSingle(session, row, id);
    if (this.waits[id] === 1) return this.inPlace.executeBlocking(session, row, id);
    if (id >= this.firstMainRow) return this.inPlace.executeHere(session, row, id);
    return this.several.execute(session, row, id);
  }

  private executeForServer(session: Session, row: CommandRow, id: number): Outcome {
    // What the server tells or is told (INFO, CONFIG SET) comes after what its connection has asked before.
    if (session.hasOutstanding && row.group === 'server') return this.stall(session);
    this.run(row, id);
    if (!this.isDeferred) return DONE;
    this.isDeferred = false;
    return QUEUED;
  }

  private executeSingle(session: Session, row: CommandRow, id: number): Outcome {
    const call = this.call;
    // It may have one from when somebody waited for its key.
    if (this.fences.count > 0) this.shards.unfence(session.id);
    call.hashKey(row.firstKey);
    const shard = call.arena.shard;
    if (this.queued[shard] === 0 && this.runsHere(id) && (this.held[shard] === 1 || this.borrow(shard))) {
      this.run(row, id);
      if ((row.flags & WRITE) !== 0) compactStep(this.arenas[shard]);
      return DONE;
    }
    if (this.mode === 'inline') throw new Error('dispatch: a shard could not be borrowed');
    if (this.log !== undefined && (this.trims(id) || row.makes !== undefined || this.shards.mayFill(row))) {
      // A worker's command is logged before it runs, so it must not find the shard full, or tell what is to be logged.
      return this.inPlace.executeWrite(session, row, id);
    }
    this.shards.locks.release(shard);
    if (session.windowFull) return this.stall(session);
    if (this.fences.count > 0 && this.fences.encloses(shard)) return this.stall(session);
    const outcome = this.handOver(session, row, id, this.workers.ofShard(shard), shard);
    if (outcome === QUEUED) this.queued[shard]++;
    return outcome;
  }

  /** Whether the request in `call` trims a stream approximately. */
  private trims(id: number): boolean {
    if (this.effects[id] !== TELLS_TRIM) return false;
    const { call } = this;
    for (let i = 2; i < call.argc; i++) if (call.is(i, '~')) return true;
    return false;
  }

  /** Takes a shard's lock. Waiting for it, and what is done for its worker, is no part of what the command costs. */
  private borrow(shard: number): boolean {
    const { shards, stats } = this;
    if (shards.borrowAtOnce(shard)) return true;
    stats.endBatch();
    const isBorrowed = shards.borrow(shard);
    stats.beginBatch(performance.now());
    return isBorrowed;
  }

  /** Borrows the marked shards, in the same way. */
  borrowMarked(): void {
    const { shards, stats } = this;
    if (shards.borrowMarkedAtOnce()) return;
    stats.endBatch();
    shards.borrowMarked();
    stats.beginBatch(performance.now());
  }

  /** Whether the mode lets a command of this kind run on this thread: in `auto` while it is cheap. */
  runsHere(id: number): boolean {
    return this.mode === 'auto' ? this.stats.costUs[id] < HAND_OVER_US : this.mode === 'inline';
  }

  /** Runs a command here, timed and counted. */
  run(row: CommandRow, id: number): void {
    const call = this.call;
    const reply = call.reply;
    const errors = reply.errors;
    const mark = reply.length;
    this.lastName = call.off[0];
    this.stats.starting(id, call.argc);
    this.writes.perform(row);
    const elapsedUs = this.stats.finished(id, call.argc, reply.length - mark);
    if (elapsedUs > HAND_OVER_US) this.clients?.scheduler.lookSoon();
    if (elapsedUs >= this.watch.thresholdUs) this.watch.slow(call, row, elapsedUs);
    if (reply.errors !== errors) this.stats.error(id, reply.lastError, false);
  }

  /** Hands the command in `call` to a worker, if it has room. */
  handOver(session: Session, row: CommandRow, id: number, worker: number, shard: number): Outcome {
    const { call, writes } = this;
    if (!writes.makeRoom(row)) {
      call.reply.error(ERR.OOM);
      this.stats.error(id, call.reply.lastError, true);
      return DONE;
    }
    const seed = this.seeds.next();
    if (!this.workers.send(worker, call, id, shard, session, seed)) return this.stall(session);
    writes.handedOver(row, seed);
    return QUEUED;
  }

  reject(id: number, text: string): Outcome {
    this.call.reply.error(text);
    this.stats.error(id, this.call.reply.lastError, true);
    return DONE;
  }

  /** For what the server cannot do now. */
  refuse(session: Session, id: number, text: string): Outcome {
    this.shards.unfence(session.id);
    // Its wait in a blocking command is over.
    this.blocking.remove(session);
    return this.reject(id, text);
  }

  /** The session is offered again when something has moved. */
  stall(session: Session): Outcome {
    return this.shards.stall(session);
  }

  resumeStalled(): void {
    this.shards.resumeStalled();
  }

  /**
   * For the handler of a command that runs here and whose reply comes later: its session goes on when the function that it
   * gets here is called, which writes the reply.
   */
  defer(session: Session): (write: (reply: Reply) => void) => void {
    this.isDeferred = true;
    return this.replies.defer(session);
  }

  /** CLIENT UNBLOCK. */
  unblock(session: Session, withError: boolean): boolean {
    return this.blocking.unblock(session, withError);
  }

  endBatch(): void {
    this.isInBatch = false;
    this.stats.endBatch();
  }

  endTick(): void {
    if (!this.exclusive.isReplacing) this.shards.locks.releaseAll();
    this.writes.log?.seal();
    this.workers.ring();
    this.replication?.endTurn();
  }

  forget(session: Session): void {
    this.shards.forget(session);
    this.blocking.remove(session);
    this.replication?.forget(session);
    // A command of its own that a worker has keeps its fence until it is done.
    if (!this.awaited.has(session.id)) this.shards.unfence(session.id);
  }

  flushClients(): void {
    this.clients?.flush();
  }

  // ---------------------------------------------------------------- the node

  /** From here on nothing expires by itself, and commands that need the data set get this error. */
  beginLoading(text: string): void {
    this.workers.clock.enter(Date.now());
    this.refusals.setLoading(text);
  }

  /** Everything is loaded; no command gets a time before `lastMs`. */
  finishLoading(lastMs: number): void {
    this.advanceClock(lastMs);
    this.workers.clock.leave(lastMs);
    this.call.random.reseed(this.seeds.next());
    this.shards.locks.releaseAll();
    this.refusals.setLoading('');
  }

  /** From now on writes go into `log`; undefined: nowhere. */
  keepLog(log: LogFront | undefined): void {
    this.writes.log = log;
    const scheduler = this.clients?.scheduler;
    if (scheduler === undefined) return;
    scheduler.gate = log;
    scheduler.releaseHeld();
    this.resumeStalled();
  }

  /** The log that is kept, if any. */
  get log(): LogFront | undefined {
    return this.writes.log;
  }

  /** A time that no command has been after, and no later one will be before. */
  get settledMs(): number {
    return this.replication === undefined ? this.call.nowMs : this.replication.settledMs;
  }

  /** No command gets an earlier time than the state has had. */
  advanceClock(nowMs: number): void {
    this.clients?.scheduler.advanceTo(nowMs);
  }

  /** Runs `act` with all shards locked and nothing queued for them: at once, or as soon as that is so. Settles as `act` does. */
  exclusively<T>(act: () => T): Promise<T> {
    return new Promise((resolve, reject) =>
      this.exclusive.add(() => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      }),
    );
  }

  /** Before a request that a peer forwarded is looked at: it gets the time of now. */
  beginForwarded(): void {
    const scheduler = this.clients?.scheduler;
    if (scheduler !== undefined) this.call.setClock(scheduler.currentMs());
    this.call.session = undefined;
  }
}

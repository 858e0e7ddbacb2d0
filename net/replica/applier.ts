/**
 * Applies committed entries, in the order of the log: runs their commands as the dispatcher runs any, on this thread or over
 * the rings, with the clock and the randomness that the entry carries, and hands the replies to whoever is owed them. Main
 * thread, in slices, so that a long backlog does not keep peers and timers waiting.
 *
 * What is handed over is fetched from the core at once where it is in memory; after a restart it is read from the storage.
 */
import type { Call } from '../../engine/call.ts';
import { arityFits, BLOCKING, type TableRow, WRITE } from '../../engine/command.ts';
import { ERR } from '../../engine/errors.ts';
import { BatchReader } from '../../engine/log/batch.ts';
import { ENTRY_COMMAND, type Entry, type LogIndex } from '../../engine/raft/entry.ts';
import { ONCE_DONE, ONCE_EXPIRED, ONCE_STALE } from '../../engine/raft/once.ts';
import type { Dispatcher } from '../dispatch.ts';
import { APPLY_LATER, APPLYING, NO_TICKET } from '../dispatch-applying.ts';
import { ONCE_WORDS } from './once.ts';
import { inResp2 } from './oncereply.ts';
import type { Proposal, Proposals, ReplyTarget } from './proposals.ts';
import type { GroupState } from './state.ts';

/** How the reply begins to what does not fit into a shard. */
const FULL = Buffer.from(`-${ERR.ARENA_FULL}`);
/** How long entries are applied in one go. */
const SLICE_MS = 4;
/** Read from the storage at once. */
const FETCH_BYTES = 1024 * 1024;

export interface ApplierHooks {
  entryAt(index: LogIndex): Entry | undefined;
  fetch(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]>;
  /** Entries up to `index` are in the state, whose clock is `nowMs`. */
  applied(index: LogIndex, nowMs: number): void;
  /** An entry is about to be applied that was proposed here, or one that another leader put in its place (`ours` false). */
  settled(proposal: Proposal, index: LogIndex, ours: boolean): void;
  /** The proposal's commands from `command` on will not be applied one by one: what becomes of them nobody can tell. */
  abandoned(proposal: Proposal, command: number): void;
  /** The slice is over and there is more. */
  more(): void;
  /** This node has no memory for what the entry asks for. */
  full(index: LogIndex): void;
}

export class Applier {
  /** The last entry whose commands have all run. */
  appliedIndex: LogIndex = 0;
  /** The clock of the state machine: the latest time of a command. */
  nowMs = 0;
  /** Set while a snapshot is loaded in place of the state. */
  isPaused = false;
  private readonly dispatcher: Dispatcher;
  private readonly state: GroupState;
  private readonly call: Call;
  private readonly hooks: ApplierHooks;
  private proposals: Proposals | undefined = undefined;
  /** Committed and not applied: in memory as far as known. */
  private queue: Entry[] = [];
  private head = 0;
  /** Committed entries behind the queue are [fetchFrom, committedTo). */
  private fetchFrom: LogIndex = 0;
  private committedTo: LogIndex = 0;
  private isFetching = false;
  /** The entry that is being applied and has stopped at a command that must wait. */
  private readonly batch = new BatchReader();
  private current: Entry | undefined = undefined;
  private proposal: Proposal | undefined = undefined;
  private command = 0;
  /** Commands of the current entry that workers have: whose replies they are, by ticket. */
  private readonly onWorkers = new Map<number, { target: ReplyTarget | undefined; seq: number }>();
  private ticket = 0;
  private isOnWorker = false;

  constructor(dispatcher: Dispatcher, state: GroupState, hooks: ApplierHooks) {
    this.dispatcher = dispatcher;
    this.state = state;
    this.call = dispatcher.call;
    this.hooks = hooks;
  }

  serve(proposals: Proposals): void {
    this.proposals = proposals;
  }

  /** The state is that of a snapshot that ends with `index`. */
  restart(index: LogIndex, nowMs: number): void {
    this.queue = [];
    this.head = 0;
    this.current = undefined;
    this.appliedIndex = index;
    this.fetchFrom = index + 1;
    this.committedTo = index + 1;
    this.nowMs = Math.max(this.nowMs, nowMs);
  }

  /** Entries [from, to) are committed. */
  commit(from: LogIndex, to: LogIndex): void {
    if (to <= from) return;
    if (this.fetchFrom === this.committedTo) {
      this.fetchFrom = from;
      for (let entry = this.hooks.entryAt(this.fetchFrom); entry !== undefined && this.fetchFrom < to; ) {
        this.queue.push(entry);
        entry = this.hooks.entryAt(++this.fetchFrom);
      }
    }
    this.committedTo = to;
  }

  /** Between two entries, with nothing at the workers: the state is exactly that of `appliedIndex`. */
  get isSettled(): boolean {
    return this.current === undefined && this.onWorkers.size === 0;
  }

  get isBehind(): boolean {
    return this.current !== undefined || this.head < this.queue.length || this.fetchFrom < this.committedTo;
  }

  /** Applies for one slice. */
  run(): void {
    if (this.isPaused || (this.head === this.queue.length && this.current === undefined)) {
      this.fetchMore();
      return;
    }
    const { dispatcher } = this;
    const startedMs = performance.now();
    const before = this.appliedIndex;
    dispatcher.applying.begin(startedMs);
    let entries = 0;
    let isBlocked = false;
    while (this.current !== undefined || this.head < this.queue.length) {
      if (!this.runEntry()) {
        isBlocked = true;
        break;
      }
      entries++;
      if ((entries & 7) === 0 && performance.now() - startedMs >= SLICE_MS) break;
    }
    if (this.head === this.queue.length) {
      this.queue = [];
      this.head = 0;
    } else if (this.head >= 1024) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    dispatcher.applying.end();
    if (this.appliedIndex > before) this.hooks.applied(this.appliedIndex, this.nowMs);
    if (!isBlocked && this.head < this.queue.length) this.hooks.more();
    this.fetchMore();
  }

  private fetchMore(): void {
    if (this.isFetching || this.isPaused || this.head < this.queue.length || this.fetchFrom >= this.committedTo) return;
    this.isFetching = true;
    const from = this.fetchFrom;
    void this.hooks.fetch(from, this.committedTo, FETCH_BYTES).then((entries) => {
      this.isFetching = false;
      // A snapshot may have come in between.
      if (this.fetchFrom !== from) return this.hooks.more();
      for (const entry of entries) this.queue.push(entry);
      this.fetchFrom += entries.length;
      if (entries.length > 0) this.hooks.more();
    });
  }

  /** False when a command has to wait; called again it goes on there. */
  private runEntry(): boolean {
    if (this.current === undefined) {
      const entry = this.queue[this.head];
      this.proposal = this.proposals?.take(entry.index);
      if (entry.kind === ENTRY_COMMAND) this.batch.open(entry.bytes, entry.start, entry.start + entry.length);
      this.current = entry;
      this.command = 0;
      if (this.proposal !== undefined) {
        const ours = this.proposal.term === entry.term;
        this.hooks.settled(this.proposal, entry.index, ours);
        if (!ours) this.proposal = undefined;
      }
    }
    const entry = this.current;
    if (entry.kind === ENTRY_COMMAND && !this.runCommands(entry)) return false;
    if (this.onWorkers.size > 0) return false;
    this.current = undefined;
    this.proposal = undefined;
    this.head++;
    this.appliedIndex = entry.index;
    return true;
  }

  private runCommands(entry: Entry): boolean {
    const { call, batch, proposal } = this;
    const { reply } = call;
    while (batch.next(call)) {
      // A new leader that had not applied everything may have had an earlier clock.
      if (call.nowMs > this.nowMs) this.nowMs = call.nowMs;
      else if (call.nowMs < this.nowMs) call.setClock(this.nowMs);
      const mark = reply.length;
      const target = proposal?.targets[this.command];
      reply.protocol = proposal === undefined ? 2 : proposal.protocols[this.command];
      const row = this.runCommand(entry.index, true);
      if (row === undefined) {
        batch.unread();
        return false;
      }
      this.checkRoom(reply.u8, mark, reply.length);
      if (this.isOnWorker) {
        this.isOnWorker = false;
        this.onWorkers.set(this.ticket, { target, seq: proposal === undefined ? 0 : proposal.seqs[this.command] });
        this.ticket = (this.ticket + 1) >>> 0;
      } else if (target !== undefined) {
        if (call.blockMs >= 0 && row !== NO_ROW) target.block?.(row, call.blockMs);
        else target.deliver(proposal!.seqs[this.command], reply.u8, mark, reply.length - mark);
      }
      reply.rewind(mark);
      this.command++;
    }
    return true;
  }

  /** A worker has run a command; its reply. */
  replied(ticket: number, from: Uint8Array, start: number, length: number): void {
    const owed = this.onWorkers.get(ticket);
    if (owed === undefined) throw new Error('replica: a reply of a worker that nobody waits for');
    this.onWorkers.delete(ticket);
    this.checkRoom(from, start, start + length);
    owed.target?.deliver(owed.seq, from, start, length);
  }

  /** Others may have had the memory that this node has not: from here on it would be another state. */
  private checkRoom(reply: Uint8Array, start: number, end: number): void {
    if (end - start < FULL.length || reply[start] !== FULL[0] || reply[start + 1] !== FULL[1]) return;
    for (let i = 2; i < FULL.length; i++) if (reply[start + i] !== FULL[i]) return;
    this.hooks.full(this.appliedIndex + 1);
  }

  /** What is not applied yet up to `index` will not be: a snapshot takes its place, and what is committed behind it waits for that. */
  abandon(index: LogIndex): void {
    this.isPaused = true;
    this.dispatcher.applying.giveUp();
    if (this.proposal !== undefined) this.hooks.abandoned(this.proposal, this.command);
    this.current = undefined;
    this.proposal = undefined;
    this.queue = [];
    this.head = 0;
    this.fetchFrom = index + 1;
    this.committedTo = index + 1;
  }

  /** The state is that of the snapshot now. */
  resume(index: LogIndex, nowMs: number): void {
    this.isPaused = false;
    this.appliedIndex = index;
    this.nowMs = Math.max(this.nowMs, nowMs);
  }

  /**
   * Runs the command in `call`: its row (NO_ROW for the server's own), or undefined when it has to wait. `isOnWorker` is set when a
   * worker has it, where that may be.
   */
  private runCommand(index: LogIndex, mayHandOver: boolean): TableRow | undefined {
    const { call, dispatcher } = this;
    if (call.buf[call.off[0]] === 0) {
      this.state.apply(call);
      return NO_ROW;
    }
    const row = dispatcher.table.resolve(call);
    if (row === undefined || !arityFits(row, call.argc) || (row.flags & WRITE) === 0) {
      throw new Error(`entry ${index} holds a command that this version does not know: ${call.shown(0, 64)}`);
    }
    if (row.name === 'once') return this.runOnce(row, index);
    const isRetry = (row.flags & BLOCKING) !== 0 && this.batch.hasSeed;
    const { seed } = this.batch;
    const applying = dispatcher.applying.apply(row, row.id, isRetry, mayHandOver ? this.ticket : NO_TICKET, seed);
    this.isOnWorker = applying === APPLYING;
    return applying === APPLY_LATER ? undefined : row;
  }

  /** `ONCE client seq command …`: runs the command unless it ran before, and remembers its reply. */
  private runOnce(row: TableRow, index: LogIndex): TableRow | undefined {
    const { call } = this;
    const { once } = this.state;
    const { reply } = call;
    const start = call.off[1];
    const length = call.len[1];
    const client = call.buf;
    const seq = Number(latin1(call, 2));
    once.age(this.nowMs);
    const found = once.check(client, start, length, seq);
    if (found === ONCE_DONE) {
      const isNewer = once.replyProtocol === 3 && !this.batch.hasSeed;
      const name = latin1(call, ONCE_WORDS).toLowerCase();
      const bytes = isNewer ? inResp2(once.reply, name, call.argc - ONCE_WORDS) : once.reply;
      reply.raw(bytes, 0, bytes.length);
    } else if (found === ONCE_STALE) {
      reply.error(STALE_TEXT);
    } else if (found === ONCE_EXPIRED) {
      reply.error(EXPIRED_TEXT);
    } else {
      const mark = reply.length;
      const protocol = this.batch.hasSeed ? 3 : 2;
      reply.protocol = protocol;
      call.shift(3);
      if (this.runCommand(index, false) === undefined) return undefined;
      once.record(client, start, length, seq, reply.u8, mark, reply.length, protocol, this.nowMs);
    }
    call.blockMs = -1;
    return row;
  }
}

/** Stands for an entry of the server's own, which has no row. */
const NO_ROW = {} as TableRow;
const STALE_TEXT =
  'ERR ONCE: this number was sent before, and the reply to it is gone: a later one was sent, or the reply was too long to keep';
const EXPIRED_TEXT =
  'ONCEEXPIRED The client is not known, or not any more, and did not begin with 1: whether this was done before cannot be told';

function latin1(call: Call, i: number): string {
  return Buffer.from(call.buf.subarray(call.off[i], call.off[i] + call.len[i])).toString('latin1');
}

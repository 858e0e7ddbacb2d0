/**
 * Replicas of one group in one thread, with a bag of messages instead of a network and disks that lose what was not synced. A test
 * says what happens next; without that nothing does. What must never happen is watched at every step (raft-watch.ts).
 */
import { Configuration } from '../../engine/raft/config.ts';
import { RaftCore } from '../../engine/raft/core.ts';
import { Entry, type HardState, type LogIndex, type ReplicaId, type SnapshotMeta } from '../../engine/raft/entry.ts';
import { Message, SNAPSHOT } from '../../engine/raft/message.ts';
import { DEFAULT_OPTIONS, firstStart, type RaftOptions, Restored } from '../../engine/raft/options.ts';
import type { ReadState } from '../../engine/raft/ready.ts';
import { RaftWatch } from './raft-watch.ts';
import { seeded } from './seeded.ts';

/** One write, as Ready gave it. */
interface Write {
  batch: number;
  hardState: HardState | null;
  snapshot: SnapshotMeta | null;
  entries: readonly Entry[];
  messages: readonly Message[];
}

export class Disk {
  hardState: HardState = { term: 0, vote: 0 };
  snapshot: SnapshotMeta;
  /** Behind the snapshot. */
  entries: Entry[] = [];
  constructor(config: Configuration) {
    this.snapshot = { index: 0, term: 0, config, configIndex: 0 };
  }

  write(w: Write): void {
    if (w.hardState !== null) this.hardState = w.hardState;
    if (w.snapshot !== null) {
      this.snapshot = w.snapshot;
      this.entries = [];
    }
    for (const e of w.entries) {
      this.entries.length = e.index - this.snapshot.index - 1;
      this.entries.push(e);
    }
  }

  compact(snapshot: SnapshotMeta): void {
    this.entries = this.entries.filter((e) => e.index > snapshot.index);
    this.snapshot = snapshot;
  }

  at(index: LogIndex): Entry | undefined {
    return this.entries[index - this.snapshot.index - 1];
  }

  restored(): Restored {
    const restored = new Restored(this.snapshot, this.hardState);
    for (const e of this.entries) restored.entry(e.index, e.term, e.kind, e.bytes, e.start, e.length);
    return restored;
  }
}

export class Member {
  readonly id: ReplicaId;
  disk: Disk;
  core: RaftCore;
  isUp = true;
  /** Given out by the core, not durable. */
  writes: Write[] = [];
  /** What the state machine has taken in; a snapshot's index at least. */
  applied: LogIndex = 0;
  /** The indexes of readStates, by token. */
  readonly reads = new Map<number, LogIndex>();
  lives = 1;

  constructor(id: ReplicaId, disk: Disk, core: RaftCore) {
    this.id = id;
    this.disk = disk;
    this.core = core;
  }
}

export type SomeOptions = Partial<RaftOptions>;

export class RaftGroup {
  readonly members = new Map<ReplicaId, Member>();
  readonly watch = new RaftWatch();
  /** Under way, in the order in which they were sent. */
  bag: Message[] = [];
  /** Links that lose everything: "from>to". */
  readonly cut = new Set<string>();
  /** Replicas whose writes wait for `sync`. */
  readonly slowDisks = new Set<ReplicaId>();
  private readonly options: SomeOptions;
  readonly seed: number;
  private token = 0;

  constructor(voters: ReplicaId[], options: SomeOptions = {}, learners: ReplicaId[] = [], seed = 1) {
    this.options = options;
    this.seed = seed;
    const config = new Configuration(voters, [], learners, 0);
    for (const id of [...voters, ...learners]) this.start(id, new Disk(config));
  }

  private start(id: ReplicaId, disk: Disk): Member {
    const member = new Member(id, disk, new RaftCore(this.optionsOf(id, 1), disk.restored()));
    this.members.set(id, member);
    return member;
  }

  private optionsOf(id: ReplicaId, lives: number): RaftOptions {
    return {
      ...DEFAULT_OPTIONS,
      ...this.options,
      group: 7,
      id,
      seed: this.seed * 31 + lives,
      incarnation: lives,
    };
  }

  /** A replica that knows nothing of the group, to be added by a change. */
  join(id: ReplicaId): Member {
    return this.start(id, new Disk(firstStart().snapshot.config));
  }

  get(id: ReplicaId): Member {
    return this.members.get(id)!;
  }

  core(id: ReplicaId): RaftCore {
    return this.get(id).core;
  }

  get leaders(): Member[] {
    return [...this.members.values()].filter((m) => m.isUp && m.core.isLeader);
  }

  /** The leader of the highest term. */
  get leader(): Member {
    const leaders = this.leaders.sort((a, b) => b.core.state.term - a.core.state.term);
    if (leaders.length === 0) throw new Error('no leader');
    return leaders[0];
  }

  /** Does what the core wants done, except that a slow disk's writes wait. */
  serve(id: ReplicaId): void {
    const m = this.get(id);
    if (!m.isUp) return;
    for (let more = true; more; ) {
      const out = m.core.ready();
      more = false;
      this.watch.onReady(m, out);
      this.bag.push(...out.messages);
      if (out.batch !== 0) {
        const { batch, hardState, snapshot, entries, afterWrite } = out;
        m.writes.push({ batch, hardState, snapshot, entries, messages: afterWrite });
      }
      for (const read of out.readStates) this.onRead(m, read);
      if (out.committedTo > out.committedFrom) more = true;
      this.apply(m, out.snapshot, out.committedFrom, out.committedTo);
      for (const f of out.fetches) {
        const entries: Entry[] = [];
        for (let i = f.from; i < f.to && m.disk.at(i) !== undefined; i++) entries.push(m.disk.at(i)!);
        m.core.fetched(f.replica, entries.slice(0, 3));
        more = true;
      }
      for (const s of out.snapshots) this.sendSnapshot(m, s.replica);
      if (!this.slowDisks.has(id) && m.writes.length > 0) {
        this.sync(id);
        more = true;
      }
      this.watch.onStep(m);
    }
  }

  private onRead(m: Member, read: ReadState): void {
    m.reads.set(read.token, read.index);
    this.watch.onRead(read);
  }

  private apply(m: Member, snapshot: SnapshotMeta | null, from: LogIndex, to: LogIndex): void {
    if (snapshot !== null) {
      this.watch.onInstalled(m, snapshot);
      m.applied = snapshot.index;
    }
    for (let index = from; index < to; index++) {
      const entry = m.core.entryAt(index) ?? m.disk.at(index);
      this.watch.onApply(m, index, entry);
      m.applied = index;
    }
    m.core.applied(m.applied);
  }

  private sendSnapshot(m: Member, to: ReplicaId): void {
    const message = new Message(SNAPSHOT, 7, m.id, to, m.core.state.term);
    message.snapshot = m.disk.snapshot;
    this.bag.push(message);
  }

  /** Ends the oldest `count` writes of a replica. */
  sync(id: ReplicaId, count = Number.POSITIVE_INFINITY): void {
    const m = this.get(id);
    const done = m.writes.splice(0, Math.min(count, m.writes.length));
    if (done.length === 0) return;
    for (const w of done) {
      m.disk.write(w);
      this.bag.push(...w.messages);
    }
    m.core.persisted(done[done.length - 1].batch);
  }

  tick(id: ReplicaId, times = 1): void {
    for (let i = 0; i < times; i++) {
      if (!this.get(id).isUp) return;
      this.core(id).tick();
      this.serve(id);
    }
  }

  /** Takes a message out of the bag and hands it over, unless its link is cut or its receiver down. */
  deliver(at = 0, keep = false): void {
    const message = this.bag[at];
    if (!keep) this.bag.splice(at, 1);
    this.hand(message);
  }

  /** Loses a message; of a snapshot the sender notices. */
  drop(at = 0): void {
    const [message] = this.bag.splice(at, 1);
    if (message.type === SNAPSHOT) this.reportSnapshot(message, false);
  }

  hand(message: Message): void {
    const to = this.members.get(message.to);
    const isLost = to === undefined || !to.isUp || this.cut.has(`${message.from}>${message.to}`);
    if (message.type === SNAPSHOT) this.reportSnapshot(message, !isLost);
    if (isLost) return;
    to.core.step(message);
    this.serve(message.to);
  }

  private reportSnapshot(message: Message, arrived: boolean): void {
    const from = this.get(message.from);
    if (!from.isUp || from.core.state.term !== message.term) return;
    if (arrived) from.core.snapshotSent(message.to, message.snapshot!.index);
    else from.core.snapshotFailed(message.to);
  }

  /** Delivers until nothing is under way. */
  settle(limit = 10_000): void {
    for (const id of this.members.keys()) this.serve(id);
    for (let i = 0; this.bag.length > 0; i++) {
      if (i > limit) throw new Error('the messages do not end');
      this.deliver();
    }
  }

  /** Everybody's time passes, and all messages arrive in between. */
  pass(ticks: number): void {
    for (let i = 0; i < ticks; i++) {
      for (const id of this.members.keys()) this.tick(id);
      this.settle();
    }
  }

  /** Makes this replica the leader, by campaigning; whoever leads steps down, as if it had lost touch. */
  elect(id: ReplicaId): Member {
    for (const { core } of this.members.values()) {
      if (core.isLeader && core.state.id !== id) core.state.becomeFollower(core.state.term, 0);
    }
    for (let i = 0; i < 40 && !this.core(id).isLeader; i++) {
      for (const m of this.members.values()) m.core.state.sinceLeader = 1000;
      this.core(id).campaign();
      this.settle();
    }
    if (!this.core(id).isLeader) throw new Error(`${id} was not elected`);
    return this.get(id);
  }

  /** Proposes a command at this replica; its index, or why not. */
  propose(id: ReplicaId, text = 'x'): number {
    const bytes = Buffer.from(text);
    const index = this.core(id).propose(bytes, 0, bytes.length);
    if (index > 0) this.watch.onProposed(this.core(id), index);
    this.serve(id);
    return index;
  }

  change(id: ReplicaId, voters: ReplicaId[], learners: ReplicaId[] = []): number {
    const index = this.core(id).proposeChange(voters, learners);
    this.serve(id);
    return index;
  }

  /** Asks for a read; its token. The index comes into `reads` of the member. */
  read(id: ReplicaId): number {
    const token = ++this.token;
    this.watch.onReadAsked(token);
    this.core(id).readIndex(token);
    this.serve(id);
    return token;
  }

  /** Makes a snapshot of what is applied and cuts the log. */
  snapshot(id: ReplicaId, upTo = Number.POSITIVE_INFINITY): void {
    const m = this.get(id);
    const index = Math.min(m.applied, upTo);
    // What is not on disk yet cannot be replaced by a snapshot there.
    if (index <= m.disk.snapshot.index || m.writes.some((w) => w.snapshot !== null)) return;
    m.disk.compact(m.core.snapshotAt(index));
    m.core.compact(index);
    this.serve(id);
  }

  /** Loses what was not synced; `survive` of the writes that were under way reach the disk all the same, unacknowledged. */
  crash(id: ReplicaId, survive = 0): void {
    const m = this.get(id);
    for (const w of m.writes.slice(0, survive)) m.disk.write(w);
    m.writes = [];
    m.isUp = false;
  }

  restart(id: ReplicaId): void {
    const m = this.get(id);
    m.lives++;
    m.isUp = true;
    m.core = new RaftCore(this.optionsOf(id, m.lives), m.disk.restored());
    m.applied = m.disk.snapshot.index;
    this.serve(id);
  }

  /** Cuts all links between the two sides, both ways. */
  split(a: ReplicaId[], b: ReplicaId[]): void {
    for (const x of a) {
      for (const y of b) {
        this.cut.add(`${x}>${y}`);
        this.cut.add(`${y}>${x}`);
      }
    }
  }

  heal(): void {
    this.cut.clear();
  }

  /** The terms of a replica's log, from 1. */
  terms(id: ReplicaId): number[] {
    const { log } = this.core(id).state;
    return Array.from({ length: log.lastIndex }, (_, i) => log.termAt(i + 1));
  }
}

/** A replica with this log, one term per entry from 1, as if restarted. */
export function withLog(group: RaftGroup, id: ReplicaId, terms: number[], term = terms.at(-1) ?? 0): void {
  const m = group.get(id);
  m.disk.entries = terms.map((t, i) => new Entry(i + 1, t, 0, Buffer.from(`${t}`), 0, 1));
  m.disk.hardState = { term, vote: 0 };
  group.restart(id);
}

/** Any number of draws from one seed. */
export function dice(seed: number): (limit: number) => number {
  const random = seeded(seed);
  return (limit) => random.below(limit);
}

/**
 * One replica of a simulated group: the real core and storage, the state machine, and the loop between them that ready.ts asks for,
 * with everything that may come late in it coming late: writes and their syncs, the application of entries, answers of the storage.
 * It dies at any call of the disk, and starts again from what is left. One life at a time; whatever was planned in an earlier
 * life does not happen.
 */

import { DiskError } from '../../../engine/log/disk.ts';
import { LogError } from '../../../engine/log/errors.ts';
import type { Configuration } from '../../../engine/raft/config.ts';
import { RaftCore } from '../../../engine/raft/core.ts';
import type { LogIndex, ReplicaId, SnapshotMeta } from '../../../engine/raft/entry.ts';
import { APPEND, type Message } from '../../../engine/raft/message.ts';
import { Restored } from '../../../engine/raft/options.ts';
import type { Ready } from '../../../engine/raft/ready.ts';
import { type Loss, PowerLoss } from '../simdisk.ts';
import { Broken } from './broken.ts';
import { Machine } from './machine.ts';
import { TICK_MS } from './profile.ts';
import { type Batch, type Opened, ReplicaDisk } from './replicadisk.ts';
import { Requests } from './requests.ts';
import { showMessage } from './show.ts';
import { decodeSnapshot } from './snapshotbytes.ts';
import { sendSnapshot } from './transfer.ts';
import type { World } from './world.ts';

const GROUP = 7;
const START_MS = 1_700_000_000_000;
/** Batches of Ready that one turn of the disk takes, at the most. */
const BATCHES = 6;
/** Buckets of the sweep of a snapshot at once. */
const SWEEP_BUCKETS = 40;
/** More than that are not made up for after a freeze. */
const MISSED_TICKS = 200;
const FETCH_ENTRIES_BYTES = 300;
const CALM_DISK_MS = 0.2;

export class SimReplica {
  readonly id: ReplicaId;
  readonly world: World;
  storage: ReplicaDisk;
  core!: RaftCore;
  machine!: Machine;
  isUp = false;
  isFrozen = false;
  /** It never comes back under this id: its disk is gone. */
  isGone = false;
  /** Counts starts. */
  life = 0;
  /** Set while a thread that applies entries is slow. */
  applyDelayMs = 0;
  /** On top of the profile's. */
  diskDelayMs = 0;
  /** The wall clock, against that of the world; ticks follow the rate only. */
  wallOffsetMs = 0;
  readonly clockRate: number;
  private frozenAtMs = 0;
  private frozenDisk = false;
  private held: (() => void)[] = [];
  private ticksDropped = false;
  private isDiskBusy = false;
  /** Durable, and the main thread has not heard of it. */
  private completions: Batch[][] = [];
  private committedTo: LogIndex = 1;
  private isApplying = false;
  requests = new Requests(this);
  /** Received snapshots, to be loaded when Ready says so. */
  private readonly received = new Map<LogIndex, Uint8Array>();

  constructor(world: World, id: ReplicaId, config?: Configuration) {
    this.world = world;
    this.id = id;
    this.storage = new ReplicaDisk(id, world.chance.fork(), config);
    const { skewPercent } = world.profile;
    this.clockRate = 1 + world.chance.between(-skewPercent, skewPercent) / 100;
    if (skewPercent > 0) world.tally.add('clocks that run unequally');
  }

  // ---------------------------------------------------------------- life

  start(): void {
    if (this.isUp || this.isGone) return;
    this.life++;
    let opened: Opened;
    try {
      opened = this.storage.open();
    } catch (error) {
      this.onStartFailed(error);
      return;
    }
    this.live(opened);
  }

  /** Starts as one whose log was in memory, and who knows that it is gone. */
  startLost(): void {
    this.life++;
    const before = this.storage.durable;
    this.storage = new ReplicaDisk(this.id, this.world.chance.fork());
    const { restored } = this.storage.open();
    // What it once held counted then, for whoever has heard of it.
    this.storage.durable = before;
    this.live({ restored: new Restored(restored.snapshot, restored.hardState, true), content: undefined });
  }

  private live({ restored, content }: Opened): void {
    const { world } = this;
    this.machine = new Machine();
    if (content !== undefined) this.machine.load(content);
    this.isUp = true;
    this.isFrozen = false;
    this.isDiskBusy = false;
    this.isApplying = false;
    this.applyDelayMs = 0;
    this.completions = [];
    this.held = [];
    this.requests = new Requests(this);
    this.received.clear();
    this.committedTo = this.machine.appliedIndex + 1;
    this.core = new RaftCore(this.options(), restored);
    world.watch.onStart(this);
    if (this.life > 1) world.tally.add('restarts');
    const { term, log, commit } = this.core.state;
    world.say(() => `${this.name} starts: term ${term}, log ${log.baseIndex}..${log.lastIndex}, commit ${commit}`);
    this.planTick();
    this.serve();
  }

  private options() {
    const { profile: p, seed } = this.world;
    return {
      group: GROUP,
      id: this.id,
      seed: seed * 31 + this.life,
      incarnation: this.storage.incarnation,
      electionTicks: p.electionTicks,
      heartbeatTicks: 1,
      leaseTicks: p.leaseTicks,
      stallTicks: p.electionTicks * 4,
      appendBytes: p.appendBytes,
      windowMessages: p.windowMessages,
      windowBytes: p.windowBytes,
      uncommittedBytes: p.uncommittedBytes,
      keptBytes: p.keptBytes,
    };
  }

  private onStartFailed(error: unknown): void {
    const { world, storage } = this;
    if (!isTrouble(error)) throw error;
    world.tally.add('starts that failed');
    world.say(() => `${this.name} does not start: ${(error as Error).message}`);
    storage.disk.crash(error instanceof PowerLoss ? world.chance.pick(['torn', 'unsynced']) : 'nothing');
    const { life } = this;
    world.events.after(world.chance.wait(50), () => {
      if (this.life === life) this.start();
    });
  }

  crash(loss: Loss, why: string): void {
    const { world } = this;
    if (!this.isUp) return;
    world.tally.add('crashes');
    if (loss === 'torn') world.tally.add('power losses with torn writes');
    if (loss === 'nothing') world.tally.add('kills that lose nothing');
    world.say(() => `${this.name} crashes (${loss}): ${why}`);
    this.isUp = false;
    this.isFrozen = false;
    this.storage.disk.crash(loss);
    this.machine.close();
    world.planRestart(this);
  }

  /** At the end of a world. */
  close(): void {
    if (this.isUp) this.machine.close();
    this.isUp = false;
  }

  get name(): string {
    return `n${this.id}`;
  }

  /** What its machine says the time is. */
  get wallMs(): number {
    return Math.floor(START_MS + this.world.events.now * this.clockRate + this.wallOffsetMs);
  }

  /** Plans something of this life; `isDisk`: it goes on while the main thread stands still. */
  later(delayMs: number, what: () => void, isDisk = false): void {
    const { life } = this;
    this.world.events.after(delayMs, () => {
      if (this.isUp && this.life === life) this.input(what, isDisk);
    });
  }

  /** Something reaches the process: at once, or when it runs again. */
  input(what: () => void, isDisk = false): void {
    if (!this.isUp) return;
    if (this.isFrozen && (!isDisk || this.frozenDisk)) this.held.push(what);
    else this.guarded(what);
  }

  /** Runs it; a loss of power or a failed sync in it ends this life. */
  private guarded(what: () => void): void {
    try {
      what();
    } catch (error) {
      const { chance, tally } = this.world;
      if (error instanceof PowerLoss) {
        tally.add('crashes in a disk call');
        this.crash(chance.pick(['torn', 'torn', 'unsynced']), error.message);
      } else if (isTrouble(error)) {
        tally.add('failed syncs');
        this.crash(chance.pick(['nothing', 'torn', 'unsynced']), (error as Error).message);
      } else throw error;
    }
  }

  // ---------------------------------------------------------------- time

  private planTick(): void {
    const { life } = this;
    this.world.events.after(TICK_MS / this.clockRate, () => {
      if (!this.isUp || this.life !== life) return;
      this.planTick();
      // Those missed in a freeze are counted when it ends.
      if (this.isFrozen) return;
      this.guarded(() => this.tick());
    });
  }

  private tick(): void {
    this.core.tick();
    this.serve();
  }

  /** Time that nobody had seen passing: ticks at once. */
  burst(ticks: number): void {
    this.input(() => {
      for (let i = 0; i < ticks && this.isUp; i++) this.tick();
    });
  }

  /** Tries to become the leader now, unless a leader may rely on it to wait. */
  campaign(): void {
    this.input(() => {
      const { sinceLeader, options } = this.core.state;
      if (options.leaseTicks > 0 && sinceLeader < options.electionTicks) return;
      this.core.campaign();
      this.serve();
    });
  }

  /** The process stands still, or only its main thread; without ticks: its clock too. */
  freeze(withDisk: boolean, withoutTicks: boolean): void {
    if (!this.isUp || this.isFrozen) return;
    this.isFrozen = true;
    this.frozenDisk = withDisk;
    this.ticksDropped = withoutTicks;
    this.frozenAtMs = this.world.events.now;
    this.world.say(() => `${this.name} stands still`);
  }

  thaw(): void {
    if (!this.isUp || !this.isFrozen) return;
    const { world } = this;
    this.isFrozen = false;
    const { held, life } = this;
    this.held = [];
    const missed = Math.floor(((world.events.now - this.frozenAtMs) * this.clockRate) / TICK_MS);
    world.say(() => `${this.name} goes on: ${missed} ticks, ${held.length} things waited`);
    if (!this.ticksDropped) this.burst(Math.min(missed, MISSED_TICKS));
    for (const what of held) {
      if (this.isUp && this.life === life) this.guarded(what);
    }
  }

  // ---------------------------------------------------------------- the loop

  /** Does what the core wants done. */
  serve(): void {
    const { world, core } = this;
    const out = core.ready();
    world.watch.onReady(this, out);
    for (const m of out.messages) this.send(m);
    if (out.batch !== 0) this.keepBatch(out);
    if (out.snapshot !== null) this.install(out.snapshot);
    this.committedTo = Math.max(this.committedTo, out.committedTo);
    for (const { token, index } of out.readStates) this.requests.onReadState(token, index);
    for (const f of out.fetches) this.later(this.diskMs(), () => this.fetch(f.replica, f.from, f.to), true);
    for (const s of out.snapshots) sendSnapshot(this, s.replica, s.atLeast);
    this.applySoon();
    world.watch.onStep(this);
  }

  private send(m: Message): void {
    const { world } = this;
    world.watch.onSend(m);
    const { life } = this;
    const lost = () => {
      if (!world.chance.percent(20)) return;
      this.later(1, () => {
        this.core.unreachable(m.to);
        this.serve();
      });
    };
    const part = () => world.replicas.get(m.to)?.receivePart(this);
    const isLong = m.type === APPEND && m.entries.length > 0;
    world.network.send(this.id, m.to, () => world.replicas.get(m.to)?.receive(m), lost, isLong ? part : undefined);
    if (this.life !== life) throw new Error('a replica died while it sent');
  }

  /** Part of a long message has come, and its sender hears that it has (net/peer/link.ts). */
  private receivePart(from: SimReplica): void {
    this.input(() => {
      this.core.hears(from.id);
      this.world.network.stream(this.id, from.id, () => from.input(() => from.core.hears(this.id)));
    });
  }

  receive(m: Message): void {
    this.input(() => {
      this.world.say(() => `${this.name} < ${showMessage(m)}`);
      this.world.watch.onReceive(m, this.world.events.now);
      this.core.step(m);
      this.serve();
    });
  }

  // ---------------------------------------------------------------- the disk

  private diskMs(): number {
    const { world } = this;
    const { chance, profile } = world;
    return chance.wait(world.isCalm ? CALM_DISK_MS : profile.diskMs) + this.diskDelayMs;
  }

  private keepBatch(out: Ready): void {
    const { batch: number, hardState, snapshot, entries, afterWrite: messages } = out;
    this.storage.waiting.push({ number, hardState, snapshot, entries, messages });
    this.kickDisk();
  }

  private kickDisk(): void {
    if (this.isDiskBusy || this.storage.waiting.length === 0) return;
    this.isDiskBusy = true;
    this.later(this.diskMs(), () => this.writeBatches(), true);
  }

  private writeBatches(): void {
    const { chance, tally } = this.world;
    if (!this.tryDisk(() => this.storage.write(1 + chance.below(BATCHES)))) {
      tally.add('disks full');
      this.later(20, () => this.writeBatches(), true);
      return;
    }
    this.later(this.diskMs() / 2, () => this.syncBatches(), true);
  }

  private syncBatches(): void {
    const { chance, tally } = this.world;
    let done: Batch[] = [];
    const isDone = this.tryDisk(() => {
      done = this.storage.sync();
    });
    if (!isDone) {
      tally.add('disks full');
      this.later(20, () => this.syncBatches(), true);
      return;
    }
    if (done.length > 1) tally.add('batches synced together');
    tally.add('logs cut', this.storage.cuts);
    this.storage.cuts = 0;
    this.isDiskBusy = false;
    // The main thread hears of it later, or at once.
    if (done.length > 0) this.completions.push(done);
    const delayMs = chance.percent(30) ? this.diskMs() : 0;
    if (delayMs > 0) tally.add('writes delayed');
    this.later(delayMs, () => this.onDurable());
    this.kickDisk();
  }

  /** Batches end in the order in which they began, however late we hear of them. */
  private onDurable(): void {
    const done = this.completions.shift();
    if (done === undefined) return;
    for (const batch of done) for (const m of batch.messages) this.send(m);
    this.core.persisted(done[done.length - 1].number);
    this.serve();
  }

  /** False when the disk is full: the same may be tried again. */
  private tryDisk(what: () => void): boolean {
    try {
      what();
      return true;
    } catch (error) {
      if (isFull(error)) return false;
      throw error;
    }
  }

  private fetch(replica: ReplicaId, from: LogIndex, to: LogIndex): void {
    this.world.tally.add('fetches');
    this.core.fetched(replica, this.storage.read(from, to, FETCH_ENTRIES_BYTES));
    this.serve();
  }

  // ---------------------------------------------------------------- the state

  private applySoon(): void {
    if (this.committedTo <= this.machine.appliedIndex + 1) {
      this.requests.serveReads();
      return;
    }
    if (this.applyDelayMs === 0) {
      this.apply(Number.POSITIVE_INFINITY);
    } else if (!this.isApplying) {
      this.isApplying = true;
      this.later(this.applyDelayMs, () => {
        this.isApplying = false;
        this.apply(1);
        this.serve();
      });
    }
  }

  private apply(count: number): void {
    const { machine, core, world } = this;
    for (let left = count; left > 0 && machine.appliedIndex + 1 < this.committedTo; left--) {
      const index = machine.appliedIndex + 1;
      const entry = core.entryAt(index) ?? this.storage.read(index, index + 1, 1)[0];
      if (entry === undefined) throw new Broken('X', `${this.name} cannot read the committed entry ${index}`);
      const before = machine.repeated;
      const replies = machine.apply(entry);
      world.tally.add('once answered from the table', machine.repeated - before);
      world.watch.onApply(this, entry);
      this.requests.settle(index, entry.term, replies);
    }
    core.applied(machine.appliedIndex);
    this.requests.serveReads();
  }

  /** A snapshot takes the place of the state. */
  private install(meta: SnapshotMeta): void {
    const { world, machine } = this;
    const bytes = this.received.get(meta.index);
    this.received.clear();
    const content = bytes === undefined ? undefined : decodeSnapshot(bytes);
    if (content === undefined) throw new Broken('X', `${this.name} is to install snapshot ${meta.index}, and has none`);
    world.tally.add('snapshots installed');
    world.say(() => `${this.name} installs a snapshot of entry ${meta.index}`);
    world.watch.onInstall(this, content.meta);
    machine.load(content);
    this.committedTo = meta.index + 1;
    world.watch.onInstalled(this);
    this.requests.passOver(meta.index);
    this.core.applied(meta.index);
  }

  /** A snapshot was received whole, in the term in which its sender led. */
  receiveSnapshot(m: Message, bytes: Uint8Array): void {
    const { index } = m.snapshot!;
    if (!this.tryDisk(() => this.storage.keepReceived(index, bytes))) return;
    this.received.clear();
    this.received.set(index, bytes);
    this.world.say(() => `${this.name} < ${showMessage(m)}`);
    this.core.step(m);
    this.serve();
  }

  /** Begins a snapshot of its own, and cuts the log behind it, but for the last `keep` entries. */
  takeSnapshot(keep: number): void {
    const { machine, core, storage, world } = this;
    const index = machine.appliedIndex;
    const { isLost, log } = core.state;
    if (isLost || machine.isSaving || index < log.baseIndex || index <= (storage.newest?.meta.index ?? 0)) return;
    world.watch.compare(this);
    machine.beginSnapshot(core.snapshotAt(index));
    world.say(() => `${this.name} begins a snapshot of entry ${index}`);
    this.later(1, () => this.stepSnapshot(keep));
  }

  private stepSnapshot(keep: number): void {
    const { machine, core, storage, world } = this;
    if (!machine.isSaving) return;
    const done = machine.stepSnapshot(SWEEP_BUCKETS);
    if (done === undefined) {
      this.later(world.chance.wait(1), () => this.stepSnapshot(keep));
      return;
    }
    let isPublished = false;
    const isTaken = this.tryDisk(() => {
      isPublished = storage.publishOwn(done.meta, done.bytes);
    });
    if (!isTaken || !isPublished) return;
    world.tally.add('snapshots taken');
    const through = done.meta.index - keep;
    if (through <= core.state.log.baseIndex) return;
    world.say(() => `${this.name} has a snapshot of entry ${done.meta.index}, and drops entries up to ${through}`);
    world.tally.add('compactions');
    this.tryDisk(() => storage.compact(through));
    core.compact(through);
    this.serve();
  }
}

/** What a disk does to a replica; damage is something else. */
function isTrouble(error: unknown): boolean {
  if (error instanceof PowerLoss || error instanceof DiskError) return true;
  return error instanceof LogError && error.code !== 'CORRUPT' && error.code !== 'VERSION';
}

function isFull(error: unknown): boolean {
  const code = error instanceof DiskError || error instanceof LogError ? error.code : '';
  return code === 'NO_SPACE' || code === 'READ_ONLY';
}

/**
 * Random work of a replica on its store: terms and votes, entries, conflicts that replace them, snapshots of its own and of a
 * leader, compaction, restarts, another identity. Beside it the plain list of what was written, from which follows what a
 * crash may leave: hard state and identity as last written, and of the log any state since the last sync.
 */
import { LogError } from '../../engine/log/errors.ts';
import { Configuration, encodeConfig } from '../../engine/raft/config.ts';
import {
  ENTRY_COMMAND,
  ENTRY_CONFIG,
  ENTRY_NOOP,
  Entry,
  type HardState,
  type SnapshotMeta,
} from '../../engine/raft/entry.ts';
import type { Restored } from '../../engine/raft/options.ts';
import { RaftStore } from '../../engine/raft/store.ts';
import type { Random } from '../../engine/random.ts';
import { PowerLoss, type SimDisk } from '../sim/simdisk.ts';
import { seeded } from './seeded.ts';

export const STORE_DIRECTORY = '/data/log';
const OPTIONS = { segmentBytes: 12 * 1024, reserveBytes: 4096 };
const FIRST_CONFIG = new Configuration([1], [], [], 1);
const NO_SNAPSHOT: SnapshotMeta = { index: 0, term: 0, config: FIRST_CONFIG, configIndex: 0 };
const NO_PROMISE: HardState = { term: 0, vote: 0 };

/** An entry that is appended, or (kind -1) the log's restart behind `index`. */
interface Step {
  index: number;
  term: number;
  kind: number;
  text: string;
}

export class StoreWorkload {
  store!: RaftStore;
  /** How often the log was found shorter than it had been written, and begun anew behind a snapshot by `restore`. */
  losses = 0;
  private readonly disk: SimDisk;
  private readonly random: Random;
  private replica = 0;
  private nextReplica = 0;
  private incarnation = 0;
  private hardState = NO_PROMISE;
  /** What was being written when the power went. */
  private nextHardState: HardState | undefined = undefined;
  private snapshot = NO_SNAPSHOT;
  private steps: Step[] = [];
  /** So many of them are durable. */
  private synced = 0;

  constructor(disk: SimDisk, seed: number) {
    this.disk = disk;
    this.random = seeded(seed);
  }

  /** Opens the store, begins if nobody has, and checks what it gives back; what was lost is taken off the list. */
  open(): void {
    const store = RaftStore.open(this.disk, STORE_DIRECTORY, OPTIONS);
    this.store = store;
    if (store.incarnation <= this.incarnation) fail(`life ${store.incarnation} follows life ${this.incarnation}`);
    if (store.identity !== undefined) this.incarnation = store.incarnation;
    const replica = store.identity?.replica ?? 0;
    if (replica !== this.replica && replica !== this.nextReplica)
      fail(`this was replica ${this.replica}, not ${replica}`);
    if (replica !== this.replica) this.becomes(replica);
    this.nextReplica = 0;
    if (replica === 0 || this.random.below(20) === 0) this.begin();
    this.check(store.restore(this.snapshot));
    this.verify();
  }

  private begin(): void {
    this.nextReplica = this.replica + 1;
    const identity = { clusterId: 'c0'.repeat(16), nodeId: 'ab'.repeat(16), replica: this.nextReplica };
    this.retry(() => this.store.begin(identity));
    this.becomes(this.nextReplica);
    this.incarnation = this.store.incarnation;
  }

  private becomes(replica: number): void {
    this.replica = replica;
    this.hardState = NO_PROMISE;
    this.nextHardState = undefined;
    this.snapshot = NO_SNAPSHOT;
    this.steps = [];
    this.synced = 0;
  }

  private check(restored: Restored): void {
    if (restored.isLost) fail('it says that it is lost');
    this.checkHardState(restored.hardState);
    const { log } = restored;
    if (log.baseIndex !== this.snapshot.index)
      fail(`the log begins behind ${log.baseIndex}, not ${this.snapshot.index}`);
    for (let count = this.steps.length; count >= this.synced; count--) {
      const expected = behind(replayed(this.steps.slice(0, count)), this.snapshot);
      const last = this.snapshot.index + expected.length;
      if (log.lastIndex !== last || expected.some(({ index, term }) => log.termAt(index) !== term)) continue;
      if (!this.isThere(expected)) continue;
      const config = expected.findLast(({ kind }) => kind === ENTRY_CONFIG)?.index ?? this.snapshot.configIndex;
      if (restored.configs.currentIndex !== config) fail(`the configuration of entry ${config} is missing`);
      if (count < this.steps.length) this.losses++;
      this.steps = [{ index: this.snapshot.index, term: this.snapshot.term, kind: -1, text: '' }, ...expected];
      this.synced = this.steps.length;
      return;
    }
    fail(`no state since the last sync ends with entry ${log.lastIndex} of term ${log.lastTerm}`);
  }

  private checkHardState({ term, vote }: HardState): void {
    const isOne = (known: HardState | undefined) => known?.term === term && known.vote === vote;
    if (isOne(this.nextHardState)) this.hardState = this.nextHardState!;
    // A snapshot may have brought a later term than was ever written.
    else if (vote === 0 && term === this.snapshot.term && term > this.hardState.term) this.hardState = { term, vote };
    else if (!isOne(this.hardState))
      fail(`term ${this.hardState.term}, vote ${this.hardState.vote} became ${term}, ${vote}`);
    this.nextHardState = undefined;
  }

  /** The store's entries behind the snapshot are those of the list. */
  verify(): void {
    const expected = behind(replayed(this.steps), this.snapshot);
    if (!this.isThere(expected)) fail(`other entries than the ${expected.length} that were written`);
  }

  private isThere(expected: readonly Step[]): boolean {
    const { store, snapshot } = this;
    if (store.lastIndex !== snapshot.index + expected.length) return false;
    let next = 0;
    while (next < expected.length) {
      const from = snapshot.index + 1 + next;
      const entries = store.read(from, from + 1 + this.random.below(20), 1 + this.random.below(4000));
      if (entries.length === 0) return false;
      for (const { index, term, kind, bytes, start, length } of entries) {
        const own = expected[next++];
        const text = Buffer.from(bytes.subarray(start, start + length)).toString('latin1');
        if (index !== own.index || term !== own.term || kind !== own.kind || text !== own.text) return false;
      }
    }
    return true;
  }

  /** Some random work. Throws what the disk throws. */
  run(rounds: number): void {
    for (let i = 0; i < rounds; i++) this.round();
  }

  private round(): void {
    const { random, store } = this;
    const choice = random.below(100);
    if (choice < 60) {
      this.write();
      if (random.below(3) > 0) this.sync();
      else if (random.below(2) === 0) this.retry(() => store.flush());
    } else if (choice < 72) {
      this.snapshotOfLeader();
      if (random.below(2) === 0) this.sync();
    } else if (choice < 84) {
      this.ownSnapshot();
    } else if (choice < 92) {
      this.retry(() => this.verify());
    } else {
      this.retry(() => store.close());
      this.synced = this.steps.length;
      this.open();
    }
  }

  /** A batch: perhaps a new term or vote, some entries, the first of which may replace others. */
  private write(): void {
    const { random } = this;
    const hardState = random.below(3) > 0 ? null : this.nextPromise();
    const term = hardState?.term ?? this.hardState.term;
    const log = behind(replayed(this.steps), this.snapshot);
    // Entries that are replaced are of earlier terms; what the snapshot has is committed.
    let keep = log.length;
    if (random.below(4) === 0) {
      keep -= random.below(Math.min(log.length, 20) + 1);
      if (keep < log.length && log[keep].term >= term) keep = log.length;
    }
    const steps: Step[] = [];
    const count = random.below(6);
    for (let i = 0; i < count; i++) steps.push(this.step(this.snapshot.index + keep + 1 + i, term));
    this.hand(hardState, null, steps);
  }

  private nextPromise(): HardState {
    const { random, hardState } = this;
    if (hardState.vote === 0 && hardState.term > 0 && random.below(2) === 0)
      return { term: hardState.term, vote: 1 + random.below(3) };
    return { term: hardState.term + 1 + random.below(3), vote: random.below(3) };
  }

  private step(index: number, term: number): Step {
    const { random } = this;
    const kind = random.below(10);
    if (kind === 0) return { index, term, kind: ENTRY_NOOP, text: '' };
    if (kind > 1) return { index, term, kind: ENTRY_COMMAND, text: `${index} in ${term} ${filler(random)}` };
    const config = encodeConfig(new Configuration([1, 2 + random.below(5)], [], [], 9));
    return { index, term, kind: ENTRY_CONFIG, text: Buffer.from(config).toString('latin1') };
  }

  /** One that this log does not lead to: it ends behind the log, or where the log has an entry of another term. */
  private snapshotOfLeader(): void {
    const { random } = this;
    const log = behind(replayed(this.steps), this.snapshot);
    const hardState = { term: this.hardState.term + 1, vote: 0 };
    const index = this.snapshot.index + 1 + random.below(log.length + 30);
    const taken = { index, term: hardState.term, config: FIRST_CONFIG, configIndex: 0 };
    this.snapshot = taken;
    const steps: Step[] = [];
    for (let i = random.below(3); i > 0; i--) steps.push(this.step(index + steps.length + 1, hardState.term));
    this.hand(hardState, taken, steps);
  }

  private ownSnapshot(): void {
    const log = behind(replayed(this.steps), this.snapshot);
    if (log.length === 0) return;
    const { index, term } = log[this.random.below(log.length)];
    const configIndex = log.findLast((step) => step.kind === ENTRY_CONFIG && step.index <= index)?.index;
    this.snapshot = { index, term, config: FIRST_CONFIG, configIndex: configIndex ?? this.snapshot.configIndex };
    // The power may go before anybody compacts.
    if (this.random.below(3) > 0) this.retry(() => this.store.compact(index));
  }

  private hand(hardState: HardState | null, snapshot: SnapshotMeta | null, steps: Step[]): void {
    if (hardState !== null) this.nextHardState = hardState;
    const entries = steps.map(({ index, term, kind, text }) => {
      const bytes = Buffer.from(`..${text}`, 'latin1');
      return new Entry(index, term, kind, bytes, 2, bytes.length - 2);
    });
    this.retry(() => this.store.write(hardState, snapshot, entries));
    if (hardState !== null) this.hardState = hardState;
    this.nextHardState = undefined;
    if (snapshot !== null) this.steps.push({ index: snapshot.index, term: snapshot.term, kind: -1, text: '' });
    this.steps.push(...steps);
  }

  private sync(): void {
    this.retry(() => this.store.sync());
    this.synced = this.steps.length;
  }

  /** As the storage's thread does: what failed is done again, but for syncs. */
  private retry(call: () => void): void {
    for (let attempt = 0; ; attempt++) {
      try {
        call();
        return;
      } catch (error) {
        if (!(error instanceof LogError) || attempt > 20) throw error;
        if (error.code !== 'NO_SPACE' && error.code !== 'IO' && error.code !== 'READ_ONLY') throw error;
      }
    }
  }
}

function fail(text: string): never {
  throw new Error(text);
}

/** The log that these steps lead to: its entries, behind the restart if there was one. */
function replayed(steps: readonly Step[]): Step[] {
  let log: Step[] = [];
  for (const step of steps) {
    if (step.kind < 0) {
      log = [];
      continue;
    }
    const keep = log.findIndex(({ index }) => index >= step.index);
    if (keep >= 0) log.length = keep;
    log.push(step);
  }
  return log;
}

/** What of a log counts behind a snapshot. */
function behind(log: Step[], { index, term }: SnapshotMeta): Step[] {
  const there = log.find((step) => step.index === index);
  if (there !== undefined && there.term !== term) return [];
  return log.filter((step) => step.index > index);
}

/** Mostly short; at times as long as a segment. */
function filler(random: Random): string {
  const kind = random.below(100);
  const length = kind < 70 ? random.below(200) : kind < 97 ? random.below(3000) : random.below(20_000);
  return String.fromCharCode(random.below(4) === 0 ? 0 : 33 + random.below(90)).repeat(length);
}

/** Runs `call`; true when the power went. */
export function untilPowerLoss(call: () => void): boolean {
  try {
    call();
    return false;
  } catch (error) {
    if (error instanceof PowerLoss) return true;
    throw error;
  }
}

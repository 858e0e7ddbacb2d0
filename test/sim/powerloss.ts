/**
 * Losses of power, end to end: a node over a simulated disk (simnode.ts) works, loses its power in the middle of a call of the
 * disk, starts from what is left, works on, and loses it again. After every start the data set has to be what some run of
 * the accepted turns makes of it, up to one at or behind the last that was said to be durable. Everything follows from the
 * numbers in a `Loss`; the error of a loss that was not survived names them.
 */
import { resetArena } from '../../engine/alloc.ts';
import { DiskError } from '../../engine/log/disk.ts';
import { LogError } from '../../engine/log/errors.ts';
import { Random } from '../../engine/random.ts';
import { abortSnapshot, isSwept } from '../../engine/snapshot/epoch.ts';
import { SnapshotError } from '../../engine/snapshot/file-errors.ts';
import { Saver } from '../../engine/snapshot/saver.ts';
import { sweepStep } from '../../engine/snapshot/sweep.ts';
import { TestEngine } from '../support/engine.ts';
import { restartStreamIds } from '../support/gen/stream.ts';
import { differences, type State, stateOf } from '../support/state.ts';
import { type Fault, PowerLoss, SimDisk, type Loss as WhatIsLost } from './simdisk.ts';
import { NodeDied, SimNode, type Witness } from './simnode.ts';

/** What goes wrong first in a piece of work, and at which call of the disk; what follows is drawn from both. */
export interface Loss {
  seed: number;
  step: number;
  fault: Fault;
}

const START_MS = 1_700_000_000_000;
const SHARDS = 2;
const ARENA_BYTES = 64 * 1024 * 1024;
/** Turns of the work that is interrupted at every step, and at the most in each piece that follows. */
const FIRST_TURNS = 30;
const LATER_TURNS = 16;
const LOSSES: readonly WhatIsLost[] = ['unsynced', 'torn', 'torn', 'torn', 'nothing'];
const FAULTS: readonly Fault[] = ['ENOSPC', 'EIO', 'short'];
/** A node that cannot start because of its disk is started again so often. */
const STARTS = 8;

/** Of the trace, in the error of a loss that was not survived. */
const SHOWN_LINES = 40;
/** Losses at the most for one seed, and for every so many seeds one at each step. */
const LOSSES_PER_SEED = 12;
const WHOLE_SEEDS = 40;
const ROUNDS_PER_LINE = 50;

/** What happened in how many lines of the traces. */
const SIGNS = {
  starts: /^loaded up to/,
  /** Starts during which the power went, or the disk failed. */
  startsInterrupted: /^the start came to nothing/,
  snapshots: /^snapshot of entry \d+ is durable/,
  snapshotsLoaded: /snapshot of entry [1-9]\d*$/,
  snapshotsFailed: /^the snapshot failed/,
  snapshotsAborted: /^the snapshot was aborted/,
  logsCut: /are dropped$/,
  logsBegun: /^appendonly yes/,
  logsUnused: /^the log was begun anew/,
  tornTails: /^the log ended in the middle of a write/,
  writesFailed: /^the log was not written/,
};

/** How often each of them happened, and losses in all. */
export type Tally = Record<keyof typeof SIGNS | 'losses', number>;

export function emptyTally(): Tally {
  const names = Object.keys(SIGNS).concat('losses');
  return Object.fromEntries(names.map((name) => [name, 0])) as Tally;
}

interface Moment {
  nowMs: number;
  state: State;
}

/** What must be there after a loss. */
class History implements Witness {
  readonly lines: string[] = [];
  private readonly moments = new Map<number, Moment[]>();
  /** What lasts: the state of this index or of a later one. */
  private floor = 0;
  private syncedIndex = 0;
  /** The log counts when a snapshot covers this index. */
  private baseIndex = 0;
  /** States of the first piece of work in their order, which are the same however often it is done. */
  private known: Moment[] | undefined;
  private count = 0;

  constructor(known: Moment[] | undefined) {
    this.known = known;
    this.moments.set(0, [{ nowMs: START_MS, state: new Map() }]);
  }

  trace(text: string): void {
    this.lines.push(text);
  }

  reached(index: number, node: SimNode, anew: boolean): void {
    const moments = this.moments.get(index);
    if (moments !== undefined && !anew) return;
    const at = this.count++;
    let moment = this.known?.[at];
    if (moment === undefined) {
      moment = { nowMs: node.engine.nowMs as number, state: stateOf(node.engine) };
      this.known?.push(moment);
    }
    if (moments === undefined) this.moments.set(index, [moment]);
    else moments.push(moment);
  }

  began(index: number): void {
    this.baseIndex = index;
  }

  synced(index: number): void {
    this.syncedIndex = Math.max(index, this.syncedIndex);
    this.raise();
  }

  saved(index: number): void {
    this.floor = Math.max(this.floor, index);
    if (index >= this.baseIndex) this.baseIndex = 0;
    this.raise();
  }

  private raise(): void {
    if (this.baseIndex === 0) this.floor = Math.max(this.floor, this.syncedIndex);
  }

  /** From here on everything is different each time. */
  diverge(): void {
    this.known = undefined;
  }

  /** Throws unless a node that has just started has what it must have. From now on that is what there was. */
  judge(node: SimNode): void {
    const { engine, loadedIndex } = node;
    if (loadedIndex < this.floor)
      throw new Error(`what entry ${this.floor} made is lost: there is entry ${loadedIndex}`);
    const moments = this.moments.get(loadedIndex);
    if (moments === undefined) throw new Error(`entry ${loadedIndex} was never accepted`);
    let found: string[] = [];
    const moment = moments.find(({ nowMs, state }) => {
      engine.nowMs = Math.max(nowMs, node.loadedMs);
      found = differences(alive(state, engine.nowMs), stateOf(engine));
      return found.length === 0;
    });
    if (moment === undefined) throw new Error(`after entry ${loadedIndex}: ${found.join('; ')}`);
    engine.verify();
    for (const index of this.moments.keys()) if (index > loadedIndex) this.moments.delete(index);
    this.moments.set(loadedIndex, [moment]);
    this.floor = loadedIndex;
    this.syncedIndex = loadedIndex;
    this.baseIndex = 0;
  }
}

/** The keys of a state that have not expired by `nowMs`. */
function alive(state: State, nowMs: number): State {
  const left: State = new Map();
  for (const [key, text] of state) {
    const expireAtMs = Number(/^:(-?\d+)/.exec(text)![1]);
    if (expireAtMs < 0 || expireAtMs > nowMs) left.set(key, text);
  }
  return left;
}

/** Engines are used again, since nobody gives the memory of one back soon. Each hashes in its own way, as each start of a node does. */
const engines: TestEngine[] = [];
let turn = 0;

function emptyEngine(): TestEngine {
  const at = turn++ % 3;
  if (engines[at] === undefined) {
    engines[at] = new TestEngine({ shards: SHARDS, arenaBytes: ARENA_BYTES, hashSeeds: [at * 77 + 1, at * 991 + 2] });
  }
  const engine = engines[at];
  const { arenas } = engine.shards;
  for (const arena of arenas) if (!arena.lockedBy(0)) arena.tryLock(0);
  abortSnapshot(arenas);
  const saver = new Saver(() => {}, new Int32Array(new SharedArrayBuffer(4)));
  for (const arena of arenas) {
    resetArena(arena);
    while (!isSwept(arena)) sweepStep(arena, saver, 1000);
  }
  engine.call.db = 0;
  return engine;
}

/** One life of a node after the other, over one disk. */
class Course {
  readonly history: History;
  readonly disk: SimDisk;
  starts = 0;
  /** What may happen to the disk, and what the node is asked to do. */
  private readonly chance: Random;
  private worldMs = START_MS;

  constructor(chance: Random, known: Moment[] | undefined) {
    this.chance = chance;
    this.disk = new SimDisk(chance);
    this.history = new History(known);
  }

  /** A start and some turns; true when it came to its end, false when the power went or the node died. */
  async live(work: Random, turns: number, isFirst: boolean): Promise<boolean> {
    const before = this.starts;
    try {
      turn = isFirst ? 0 : turn;
      const engine = emptyEngine();
      const { settings } = engine;
      settings.set('maxmemory', 0);
      engine.call.random.reseed(work.next());
      const node = await SimNode.open(this.disk, engine, work, this.history, work.below(6) > 0);
      this.starts++;
      this.history.judge(node);
      engine.nowMs = Math.max(node.loadedMs, this.worldMs);
      for (let left = turns; left > 0; left--) {
        node.turn();
        this.worldMs = engine.nowMs;
      }
      if (work.below(3) === 0) node.close();
      return true;
    } catch (error) {
      const isEnd = error instanceof PowerLoss || error instanceof NodeDied;
      if (!isEnd && (this.starts > before || !isTrouble(error))) throw error;
      this.history.trace((error as Error).message);
      return false;
    }
  }

  stop(): void {
    const { disk, chance, history } = this;
    const lost = LOSSES[chance.below(LOSSES.length)];
    history.trace(`step ${disk.steps}: ${lost} is lost`);
    disk.crash(lost);
  }

  /** Later lives: faults anywhere, at starts too. */
  async goOn(lives: number): Promise<void> {
    const { chance, disk } = this;
    for (let life = 0; life < lives; life++) {
      for (let attempt = 0; ; attempt++) {
        const isLast = life === lives - 1 || attempt === STARTS;
        disk.clearFaults();
        if (!isLast && chance.below(4) > 0) {
          const fault = chance.below(3) === 0 ? FAULTS[chance.below(FAULTS.length)] : 'crash';
          disk.failAt(disk.steps + 1 + chance.below(chance.below(2) === 0 ? 25 : 250), fault, 1 + chance.below(3));
        }
        const before = this.starts;
        await this.live(new Random(chance.next()), isLast ? 1 : 1 + chance.below(LATER_TURNS), false);
        if (isLast && this.starts === before) throw new Error('a start fails, and nothing is wrong with the disk');
        this.stop();
        if (this.starts > before) break;
        this.history.trace('the start came to nothing');
      }
    }
  }
}

/** What the disk did to a node that starts; damage is something else. */
function isTrouble(error: unknown): boolean {
  if (error instanceof DiskError) return true;
  if (error instanceof LogError) return error.code !== 'CORRUPT';
  return error instanceof SnapshotError && error.code !== 'DAMAGED';
}

/** Survives one loss and what comes after it. Returns the steps that the first piece of work took. */
export async function surviveLoss(
  loss: Loss,
  tally: Tally,
  known?: Moment[],
  show?: (line: string) => void,
): Promise<number> {
  restartStreamIds();
  const course = new Course(new Random(Math.imul(loss.seed, 7919) + loss.step), known);
  const { disk, history } = course;
  try {
    if (loss.step > 0) disk.failAt(loss.step, loss.fault, loss.fault === 'crash' ? 1 : 3);
    const work = new Random(loss.seed);
    for (let left = 2; left > 0; left--) {
      if (!(await course.live(work, FIRST_TURNS, left === 2))) break;
      disk.crash('nothing');
    }
    const { steps } = disk;
    if (loss.step > 0) {
      history.diverge();
      course.stop();
      await course.goOn(3);
    }
    tally.losses++;
    for (const [name, sign] of Object.entries(SIGNS)) {
      tally[name as keyof Tally] += history.lines.filter((line) => sign.test(line)).length;
    }
    return steps;
  } catch (error) {
    const text = `seed ${loss.seed}, ${loss.fault} at step ${loss.step}: ${(error as Error).message}`;
    if (show === undefined)
      throw new Error([text, ...history.lines.slice(-SHOWN_LINES)].join('\n  '), { cause: error });
    history.lines.push(text, String((error as Error).stack));
    return disk.steps;
  } finally {
    if (show !== undefined) for (const line of history.lines) show(line);
  }
}

/** The work of one seed, with something going wrong at each of its calls of the disk, or at `most` of them. */
export async function powerLossRound(seed: number, most: number, tally: Tally): Promise<void> {
  const known: Moment[] = [];
  const steps = await surviveLoss({ seed, step: 0, fault: 'crash' }, tally, known);
  const random = new Random(Math.imul(seed, 104729) + 1);
  const every = Math.max(1, steps / most);
  for (let at = 1 + random.below(Math.floor(every)); at <= steps; at += every) {
    const isFault = random.below(4) === 0;
    const fault = isFault ? FAULTS[random.below(FAULTS.length)] : 'crash';
    await surviveLoss({ seed, step: Math.floor(at), fault }, tally, isFault ? undefined : [...known]);
  }
}

/** Rounds with the seeds from `first` on; throws at the first loss that was not survived. */
export async function powerLossRounds(rounds: number, first = 1, tally = emptyTally()): Promise<Tally> {
  for (let seed = first; seed < first + rounds; seed++) {
    await powerLossRound(seed, seed % WHOLE_SEEDS === 0 ? Number.POSITIVE_INFINITY : LOSSES_PER_SEED, tally);
  }
  return tally;
}

/** The full run: goes on after a failure, prints it, and at the end what happened how often. False when there was one. */
export async function powerLossRun(rounds: number, first: number): Promise<boolean> {
  console.log(`losses of power, simulated: ${rounds} rounds, from seed ${first}`);
  const tally = emptyTally();
  let isRight = true;
  for (let round = 0; round < rounds; round += ROUNDS_PER_LINE) {
    for (let i = round; i < Math.min(rounds, round + ROUNDS_PER_LINE); i++) {
      try {
        await powerLossRounds(1, first + i, tally);
      } catch (error) {
        isRight = false;
        console.error((error as Error).message);
      }
    }
    console.log(`${Math.min(rounds, round + ROUNDS_PER_LINE)} of ${rounds} rounds, ${tally.losses} losses`);
  }
  console.table(tally);
  return isRight;
}

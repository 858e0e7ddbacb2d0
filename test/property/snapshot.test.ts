/**
 * Snapshots under way while random commands of every kind run: what they hold is the state of the moment they began, each
 * key once. The state is read by commands at that moment, and compared with that of an engine that has loaded the chunks.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeEvictor } from '../../engine/eviction.ts';
import { Random } from '../../engine/random.ts';
import { MAXMEMORY_POLICIES } from '../../engine/settings.ts';
import { abortSnapshot } from '../../engine/snapshot/epoch.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { anyCommand } from '../support/gen/any.ts';
import { pick } from '../support/gen/string.ts';
import { TestSnapshots } from '../support/snapshots.ts';
import { differences, type State, stateOf } from '../support/state.ts';

const SHARDS = 3;
const START_MS = 1_700_000_000_000;

/** What a run is like: how many keys beside those of the generators, and what is done with them and the rest. */
interface Course {
  /** Names of the small strings that fill tables, so that they split and merge. */
  fillers: number;
  /** In a thousand steps: commands on fillers; sweep steps; clock moves. */
  fillerRate: number;
  sweepRate: number;
  clockRate: number;
  /** Whether keys have to go because memory is short. */
  evicts: boolean;
}

const COURSES: Course[] = [
  { fillers: 10, fillerRate: 50, sweepRate: 20, clockRate: 50, evicts: false },
  { fillers: 200, fillerRate: 300, sweepRate: 80, clockRate: 50, evicts: false },
  { fillers: 1200, fillerRate: 700, sweepRate: 250, clockRate: 20, evicts: false },
  { fillers: 500, fillerRate: 500, sweepRate: 150, clockRate: 300, evicts: false },
  { fillers: 700, fillerRate: 600, sweepRate: 150, clockRate: 50, evicts: true },
];

class Run {
  readonly engine = new TestEngine({ shards: SHARDS, arenaBytes: 64 * 1024 * 1024 });
  readonly snapshots = new TestSnapshots(this.engine);
  private readonly evictor = makeEvictor(this.engine.shards, this.engine.settings, 0);
  private readonly r: Random;
  private readonly course: Course;
  /** The state when the snapshot under way began; undefined between snapshots. */
  private was: State | undefined = undefined;
  private atMs = 0;
  completed = 0;
  aborted = 0;

  constructor(seed: number) {
    this.r = new Random(seed);
    this.course = pick(this.r, COURSES);
    this.engine.nowMs = START_MS;
    for (const arena of this.engine.shards.arenas) arena.tryLock(0);
    for (let i = 0; i < this.course.fillers; i++) this.engine.run('SET', `k:${i}`, i, ...this.ttl(20));
    if (this.course.evicts) this.startEvicting();
  }

  private startEvicting(): void {
    const { settings } = this.engine;
    settings.set('maxmemory-policy', this.r.below(MAXMEMORY_POLICIES.length - 1));
    const used = this.engine.shards.arenas.reduce((sum, arena) => sum + arena.f64[8], 0);
    settings.set('maxmemory', used + this.r.below(20_000));
  }

  /** A TTL that may pass during the run, for one in `odds`. */
  private ttl(odds: number): Arg[] {
    return this.r.below(odds) === 0 ? ['PX', 1 + this.r.below(30_000)] : [];
  }

  steps(count: number): void {
    for (let i = 0; i < count; i++) this.step();
    if (this.was !== undefined) this.finish();
    this.engine.verify();
  }

  private step(): void {
    const { r, engine, course, snapshots } = this;
    if (this.was === undefined && r.below(30) === 0) this.begin();
    if (this.was !== undefined) {
      while (r.below(1000) < course.sweepRate) snapshots.step(r.below(SHARDS), 1 + r.below(6));
      if (r.below(1500) === 0) abortSnapshot(engine.shards.arenas);
      if (snapshots.isSwept) this.finish();
    }
    if (r.below(1000) < course.clockRate) {
      engine.nowMs = (engine.nowMs as number) + r.below(3000);
      if (r.below(2) === 0) engine.expire();
    }
    if (r.below(20) === 0) engine.call.db = r.below(3);
    if (course.evicts) this.makeRoom();
    engine.run(...(r.below(1000) < course.fillerRate ? this.fillerCommand() : this.otherCommand()));
  }

  private makeRoom(): void {
    this.engine.call.setClock(this.engine.nowMs as number);
    this.evictor.makeRoom(this.engine.call);
  }

  private otherCommand(): Arg[] {
    const { r } = this;
    // Now and then, since it ends the snapshot.
    if (r.below(800) === 0) return [pick(r, ['FLUSHDB', 'FLUSHALL'])];
    const command = anyCommand(r);
    return /^flush/i.test(String(command[0])) ? ['DBSIZE'] : command;
  }

  private filler(): string {
    return `k:${this.r.below(this.course.fillers)}`;
  }

  private fillerCommand(): Arg[] {
    const { r } = this;
    switch (r.below(12)) {
      case 0:
      case 1:
        return ['DEL', ...Array.from({ length: 1 + r.below(60) }, () => this.filler())];
      case 2:
      case 3:
        return ['MSET', ...Array.from({ length: 1 + r.below(40) }, () => [this.filler(), r.below(100_000)]).flat()];
      case 4:
        return ['APPEND', this.filler(), 'x'.repeat(r.below(30))];
      case 5:
        return ['PEXPIRE', this.filler(), r.below(20_000)];
      case 6:
        return pick(r, [
          ['PERSIST', this.filler()],
          ['GETEX', this.filler(), 'PERSIST'],
          ['GETEX', this.filler(), 'PX', 1 + r.below(5000)],
          ['GETEX', this.filler(), 'PXAT', START_MS],
          ['GETDEL', this.filler()],
        ]);
      case 7:
        return ['RENAME', this.filler(), this.filler()];
      case 8:
        return ['COPY', this.filler(), this.filler(), 'DB', r.below(3), 'REPLACE'];
      case 9:
        return ['MOVE', this.filler(), r.below(3)];
      case 10:
        return ['SUNIONSTORE', this.filler(), 's1', 's2'];
      default:
        return ['SET', this.filler(), r.below(100_000), ...this.ttl(5)];
    }
  }

  private begin(): void {
    const { engine, snapshots } = this;
    this.was = stateOf(engine);
    this.atMs = engine.nowMs as number;
    snapshots.begin(this.atMs);
  }

  private finish(): void {
    const { snapshots } = this;
    const was = this.was as State;
    this.was = undefined;
    snapshots.finish();
    if (snapshots.isAborted) {
      this.aborted++;
      return;
    }
    expect(snapshots.keys).toBe(was.size);
    expect(differences(was, stateOf(snapshots.load(this.atMs)))).toEqual([]);
    this.completed++;
  }
}

/** Runs in all: some seconds of them, unless more are asked for. */
const RUNS = Number(process.env.MILLRACE_ROUNDS ?? 50);

describe('a snapshot', () => {
  it('is the state of its moment, whatever is written meanwhile', { timeout: RUNS * 2000 }, () => {
    let completed = 0;
    let aborted = 0;
    const saved = [0, 0];
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const run = new Run(seed);
        run.steps(800);
        completed += run.completed;
        aborted += run.aborted;
        run.snapshots.savedKeys.forEach((keys, i) => {
          saved[i] += keys;
        });
      }),
      { numRuns: RUNS },
    );
    // What the property is about did happen: snapshots, aborted ones, keys saved by commands and by sweeps.
    expect(completed).toBeGreaterThan(RUNS);
    expect(aborted).toBeGreaterThan(RUNS / 10);
    expect(Math.min(...saved)).toBeGreaterThan(RUNS * 100);
  });
});

/** One seed's world, from its beginning to its end: what happened in it, or what broke. */
import { Broken, type Invariant } from './broken.ts';
import type { Tally } from './tally.ts';
import { Trace } from './trace.ts';
import { World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly tally: Tally;
  /** Virtual time that has passed. */
  readonly virtualMs: number;
  /** Undefined when all is well. */
  readonly failure: Failure | undefined;
  /** What happened, as far as it was to be kept. */
  readonly lines: readonly string[];
}

export interface Failure {
  readonly invariant: Invariant;
  readonly text: string;
}

/** Runs a seed; keeps the last `lines` lines of what happens. */
export function runSeed(seed: number, lines = 0): Outcome {
  const trace = new Trace(lines);
  const world = new World(seed, trace);
  let failure: Failure | undefined;
  try {
    world.run();
  } catch (error) {
    const invariant = error instanceof Broken ? error.invariant : 'X';
    const text = error instanceof Broken ? error.message : `X: ${(error as Error).stack}`;
    failure = { invariant, text };
  }
  world.close();
  return { seed, tally: world.tally, virtualMs: world.events.now, failure, lines: trace.last };
}

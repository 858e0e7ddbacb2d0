/**
 * Simulated groups under every kind of trouble (test/sim/raft): 300 seeds here, 20,000 with `npm run sim:long`. What broke is told with
 * its seed: `npm run sim -- --seed N` shows how it came to it.
 */
import { describe, expect, it } from 'vitest';
import { runSeed } from '../sim/raft/run.ts';
import { Tally } from '../sim/raft/tally.ts';

const SEEDS = 300;

describe('simulated groups', () => {
  it(`keep what they promise: ${SEEDS} seeds`, { timeout: 300_000 }, () => {
    const tally = new Tally();
    const failures: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = runSeed(seed);
      tally.addAll(outcome.tally);
      if (outcome.failure !== undefined) failures.push(`seed ${seed}: ${outcome.failure.text}`);
    }
    expect(failures).toEqual([]);
    // Everything that is meant to happen has.
    expect(tally.missing).toEqual([]);
  });

  it('does the same for the same seed', () => {
    for (const seed of [4, 8]) {
      const [once, again] = [runSeed(seed, 1e9), runSeed(seed, 1e9)];
      expect(once.lines.length).toBeGreaterThan(500);
      expect(again.lines).toEqual(once.lines);
    }
  });
});

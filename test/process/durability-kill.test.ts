/**
 * kill -9 of a node under load, again and again on the same directory. `npm run test:durability` does many more rounds.
 */
import { describe, expect, it } from 'vitest';
import { killRounds } from '../support/durability-rounds.ts';
import { MODES } from '../support/node.ts';

describe('kill -9 under load', () => {
  it.each(MODES)(
    'loses and repeats nothing that was acknowledged with appendfsync always, dispatch %s',
    async (mode) => {
      const flags = ['--appendonly', 'yes', '--appendfsync', 'always', '--dispatch', mode];
      const done = await killRounds({ flags, rounds: 3, seed: 1 + MODES.indexOf(mode) });
      expect(done.problems).toEqual([]);
      expect(done.lost).toBe(0);
      expect(done.answered).toBeGreaterThan(100);
    },
    120_000,
  );
});

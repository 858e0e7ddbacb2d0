import { expect, it } from 'vitest';
import { faultRound, powerLossRound } from '../support/logrounds.ts';

/** 1,000 in the full run. */
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 0);

it('loses nothing that was acknowledged, wherever the power goes', () => {
  let crashes = 0;
  const rounds = ROUNDS || 20;
  for (let seed = 1; seed <= rounds; seed++) crashes += powerLossRound(seed);
  // As many places to crash as the work has calls of the disk.
  expect(crashes).toBeGreaterThan(rounds * 40);
}, 3_600_000);

it('loses nothing that was acknowledged, whatever call of the disk fails', () => {
  let faults = 0;
  const rounds = Math.ceil(ROUNDS / 10) || 5;
  for (let seed = 1; seed <= rounds; seed++) faults += faultRound(seed);
  expect(faults).toBeGreaterThan(rounds * 100);
}, 3_600_000);

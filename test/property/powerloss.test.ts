/**
 * Losses of power from the command to the disk (test/sim/powerloss.ts): a short run here, 1,000 rounds in the full one. To see
 * what led to a failure, give its numbers: MILLRACE_LOSS='17 crash 91', for seed 17 and a crash at step 91.
 */
import { expect, it } from 'vitest';
import { emptyTally, powerLossRounds, surviveLoss } from '../sim/powerloss.ts';
import type { Fault } from '../sim/simdisk.ts';

const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 10);
const LOSS = process.env.MILLRACE_LOSS;

it.runIf(LOSS === undefined)(
  'loses nothing that was acknowledged, and makes nothing up',
  async () => {
    const tally = await powerLossRounds(ROUNDS);
    // What this is about did happen, and often.
    for (const [what, count] of Object.entries(tally)) expect(`${what} ${count > 0}`).toBe(`${what} true`);
    expect(tally.losses).toBeGreaterThan(ROUNDS * 8);
  },
  Math.max(60_000, ROUNDS * 4000),
);

it.runIf(LOSS !== undefined)('shows one loss', async () => {
  const [seed, fault, step] = (LOSS as string).split(' ');
  const loss = { seed: Number(seed), step: Number(step), fault: fault as Fault };
  await surviveLoss(loss, emptyTally(), undefined, (line) => console.log(line));
});

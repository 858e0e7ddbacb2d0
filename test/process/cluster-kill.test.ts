/**
 * Nodes of a cluster killed and paused under load: nothing acknowledged is lost, histories are linearizable, another leader
 * serves soon. `npm run test:cluster` does many more rounds.
 */
import { describe, expect, it } from 'vitest';
import { DISK_FAULTS, type Fault, PROCESS_FAULTS } from '../support/cluster-faults.ts';
import { clusterRounds } from '../support/cluster-rounds.ts';

const { killLeader, killFollower, pauseLeader } = PROCESS_FAULTS;
const { killAll } = DISK_FAULTS;

/** Far more than it should take, since other work shares the processors: what is exact is in the long run's table. */
const SERVED_AGAIN_MS = 10_000;

async function holds(seed: number, flags: readonly string[], faults: Record<string, Fault>): Promise<void> {
  const done = await clusterRounds({ seed, flags, faults: Object.entries(faults) });
  expect(done.problems).toEqual([]);
  expect(done.answered).toBeGreaterThan(50);
  for (const ms of done.resumedAfterMs) expect(ms).toBeLessThan(SERVED_AGAIN_MS);
}

describe('a cluster under load', () => {
  it('with logs on disk: its leader killed and paused, all of it killed', async () => {
    const flags = ['--appendonly', 'yes', '--appendfsync', 'always'];
    await holds(1, flags, { killLeader, pauseLeader, killAll });
  }, 240_000);

  it('with logs in memory: who was killed comes back as another replica', async () => {
    await holds(2, [], { killFollower, killLeader });
  }, 240_000);
});

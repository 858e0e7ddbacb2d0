/**
 * A cluster whose network fails, under load: links cut both ways and one way, slowed, held, flipped and repeated by a proxy; packets
 * that vanish in the kernel. Histories stay linearizable, sessions read their own writes, and all nodes end up the same.
 */
import { describe, expect, it } from 'vitest';
import { type Fault, NAMESPACE_FAULTS, PROXY_FAULTS } from '../support/cluster-faults.ts';
import { clusterRounds } from '../support/cluster-rounds.ts';
import { available, unavailable } from '../support/netns.ts';

const DISK = ['--appendonly', 'yes', '--appendfsync', 'always'];
const SERVED_AGAIN_MS = 10_000;

async function holds(
  seed: number,
  through: 'proxies' | 'namespaces',
  flags: readonly string[],
  faults: Record<string, Fault>,
): Promise<void> {
  const done = await clusterRounds({ seed, through, flags, faults: Object.entries(faults) });
  expect(done.problems).toEqual([]);
  expect(done.answered).toBeGreaterThan(50);
  for (const ms of done.resumedAfterMs) expect(ms).toBeLessThan(SERVED_AGAIN_MS);
}

describe('a cluster under load', () => {
  it('through proxies that swallow, hold, flip and repeat', async () => {
    const { deafLeader, muteLeader, pauseParted, partPair, lateAnswers, flipBits, replay } = PROXY_FAULTS;
    await holds(3, 'proxies', DISK, { deafLeader, lateAnswers, pauseParted, muteLeader, partPair, flipBits, replay });
  }, 240_000);

  it.skipIf(!available)(
    `with routes that swallow packets${available ? '' : ` (skipped: ${unavailable})`}`,
    async () => {
      const { isolateLeader, deafLeader } = NAMESPACE_FAULTS;
      await holds(4, 'namespaces', DISK, { isolateLeader, deafLeader });
    },
    240_000,
  );
});

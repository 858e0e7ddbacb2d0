/**
 * Rounds of load, kill -9 and restart on one directory. What happens in a round is drawn from its seed: how long the load
 * lasts, whether a snapshot is under way at the end, whether the next start is killed, too, before it is over.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../engine/random.ts';
import { Load, type Verdict } from './durability-load.ts';
import { DurableNode, sleep } from './durability-node.ts';

const CLIENTS = 6;

export interface RoundOptions {
  flags: readonly string[];
  rounds: number;
  seed: number;
  /** Answers that may be missing: those that came so shortly before the kill. */
  windowMs?: number;
  /** Called after each round. */
  onRound?: (round: number, verdict: Verdict) => void;
}

export interface RoundsDone extends Verdict {
  killsInSnapshot: number;
  killsAtStart: number;
}

export async function killRounds({ flags, rounds, seed, windowMs = 0, onRound }: RoundOptions): Promise<RoundsDone> {
  const random = new Random(seed);
  const dir = mkdtempSync(join(tmpdir(), 'millrace-kill-'));
  const load = new Load(CLIENTS, seed);
  const total: RoundsDone = {
    problems: [],
    answered: 0,
    unanswered: 0,
    kept: 0,
    lost: 0,
    lostMs: 0,
    killsInSnapshot: 0,
    killsAtStart: 0,
  };
  let node = await DurableNode.start(dir, flags);
  try {
    for (let round = 0; round < rounds && total.problems.length === 0; round++) {
      await load.start(() => node.connect());
      await sleep(20 + random.below(300));
      const way = random.below(4);
      if (way < 2) {
        const command = way === 0 ? 'BGSAVE' : 'BGREWRITEAOF';
        await node.ask([command]).catch(() => undefined);
        await sleep(random.below(40));
        total.killsInSnapshot++;
      }
      const crashedAt = performance.now();
      await node.kill();
      await load.over();
      if (random.below(4) === 0) {
        const unlucky = await DurableNode.spawn(dir, flags);
        await sleep(200 + random.below(600));
        await unlucky.kill();
        total.killsAtStart++;
      }
      node = await DurableNode.start(dir, flags);
      const client = await node.connect();
      const verdict = await load.judge(client, crashedAt, windowMs);
      client.close();
      for (const problem of verdict.problems) total.problems.push(`seed ${seed}, round ${round}: ${problem}`);
      for (const name of ['answered', 'unanswered', 'kept', 'lost'] as const) total[name] += verdict[name];
      total.lostMs = Math.max(total.lostMs, verdict.lostMs);
      onRound?.(round, verdict);
    }
  } finally {
    await node.kill();
    rmSync(dir, { recursive: true, force: true });
  }
  return total;
}

/**
 * Random commands for a node whose data set is compared before and after a restart: of every kind, on several connections
 * and databases.
 */
import { Random } from '../../engine/random.ts';
import type { DurableNode } from './durability-node.ts';
import type { Arg } from './engine.ts';
import { anyCommand } from './gen/any.ts';
import { connectionCommand } from './gen/server.ts';

const COMMANDS = 1500;

/** Runs random commands on several connections at once, and waits for their replies. `fills`: many are large. */
export async function randomCommands(node: DurableNode, seed: number, fills = false): Promise<void> {
  const clients = await Promise.all([0, 1, 2].map(() => node.connect()));
  await Promise.all(
    clients.map(async (client, i) => {
      const r = new Random(seed + i * 31);
      for (let done = 0; done < COMMANDS / 3; ) {
        const batch = Array.from({ length: 1 + r.below(20) }, () => command(r));
        if (fills)
          for (let j = 0; j < 4; j++) batch.push(['SET', `filler:${r.below(2000)}`, 'y'.repeat(4000), 'EX', 9999]);
        const safe = batch.filter(([name]) => !/^(client|shutdown|auth|hello|quit|reset)$/i.test(String(name)));
        await client.pipeline(safe);
        done += batch.length;
      }
      client.close();
    }),
  );
}

/** Commands whose outcome hangs on chance, or that reach across databases and shards, beside those of every kind. */
function command(r: Random): Arg[] {
  const many = (): Arg[] => Array.from({ length: 200 }, () => `m${r.below(5000)}`);
  const db = r.below(3);
  switch (r.below(40)) {
    case 0:
      return ['SELECT', db];
    case 1:
      return ['SWAPDB', r.below(3), db];
    case 2:
      return ['MOVE', `s${r.below(4)}`, db];
    case 3:
      return r.below(12) === 0 ? ['FLUSHDB'] : ['COPY', `big${r.below(4)}`, `big${r.below(4)}`, 'DB', db, 'REPLACE'];
    case 4:
    case 5:
    case 6:
      // Large enough for a table, whose order is its own in each process.
      return ['SADD', `big${r.below(4)}`, ...many()];
    case 7:
    case 8:
      return ['SPOP', `big${r.below(4)}`];
    case 9:
      return ['SPOP', `big${r.below(4)}`, r.below(150)];
    case 10:
      return ['PEXPIRE', `big${r.below(4)}`, r.below(400)];
    case 11:
      return ['SET', `short${r.below(20)}`, 'x', 'PX', 1 + r.below(300)];
    case 12:
      return ['SORT', `big${r.below(4)}`, 'BY', 'nosort', 'LIMIT', 0, 20, 'STORE', `sorted${r.below(3)}`];
    case 13:
      return ['SORT', `big${r.below(4)}`, 'BY', 'w_*', 'ALPHA', 'LIMIT', 0, 20, 'STORE', `sorted${r.below(3)}`];
    case 14:
      return ['XADD', `x${r.below(3)}`, 'MAXLEN', '~', 50, '*', 'f', r.below(1000)];
    case 15:
      return ['BLMOVE', 'l1', 'l2', 'LEFT', 'RIGHT', 0.002];
    case 16:
      return ['SUNIONSTORE', `big${r.below(4)}`, `big${r.below(4)}`, `big${r.below(4)}`];
    default:
      return r.below(30) === 0 ? connectionCommand(r) : anyCommand(r);
  }
}

/**
 * A cluster under load, faults one after another, and the judgement: the history of all clients is linearizable, with a last read
 * of every key, so that nothing acknowledged is missing; a client that was promised its own writes has seen them; the replicas
 * hold the same; and after each fault the cluster is whole again.
 */
import { Clerk } from '../../net/client/index.ts';
import { clerkCaller, NodeCaller } from './callers.ts';
import { LocalCluster, sleep } from './cluster.ts';
import type { Fault } from './cluster-faults.ts';
import { History, HistoryLoad } from './history.ts';
import { checkLinearizable } from './linearizability.ts';
import { stringModel } from './linearizability-models.ts';
import { seeded } from './seeded.ts';
import { SessionLoad } from './sessions.ts';

/** Load between two faults, without any. */
const QUIET_MS = 200;

export interface RoundsOptions {
  readonly seed: number;
  readonly through?: 'proxies' | 'namespaces';
  readonly flags: readonly string[];
  /** By name, in this order. */
  readonly faults: readonly (readonly [name: string, fault: Fault])[];
  /** After each fault. */
  readonly onFault?: (name: string, resumedAfterMs: number | undefined) => void;
}

export interface RoundsDone {
  problems: string[];
  answered: number;
  unknown: number;
  notDone: number;
  /** For faults that deposed the leader: how long until the first later write was acknowledged. */
  readonly resumedAfterMs: number[];
}

export async function clusterRounds(options: RoundsOptions): Promise<RoundsDone> {
  const { seed, through, flags, faults, onFault } = options;
  const random = seeded(seed);
  const history = new History();
  const sessions = new SessionLoad();
  const problems: string[] = [];
  const resumedAfterMs: number[] = [];
  const cluster = await LocalCluster.start({ through, flags });
  const clerks: Clerk[] = [];
  const nodeCallers: NodeCaller[] = [];
  try {
    await cluster.waitForAll();
    const clerk = (consistency?: 'session'): Clerk => {
      const made = new Clerk({ nodes: cluster.addresses, timeoutMs: 6000, consistency });
      clerks.push(made);
      return made;
    };
    // Two that find the leader, one that stays with each node, two that go on to the next when theirs is gone.
    for (const node of cluster.nodes) nodeCallers.push(new NodeCaller([node]));
    for (let i = 0; i < 2; i++) nodeCallers.push(new NodeCaller(cluster.nodes, i));
    const callers = [clerkCaller(clerk()), clerkCaller(clerk()), ...nodeCallers.map(({ call }) => call)];
    const readers = cluster.nodes.map((node) => new NodeCaller([node]));
    nodeCallers.push(...readers);
    const load = new HistoryLoad(history, { seed, callers, readers: readers.map(({ call }) => call) });
    // A Clerk keeps the promise over all its connections; a stock client has it of each of them, from followers as well.
    const pinned = cluster.nodes.map((node) => new NodeCaller([node], 0, 'session'));
    nodeCallers.push(...pinned);
    sessions.start([{ call: clerkCaller(clerk('session')), connections: 1 }, ...pinned]);
    for (const [name, fault] of faults) {
      await sleep(QUIET_MS + random.below(QUIET_MS));
      const deposedAtMs = await fault(cluster, random);
      await cluster.waitForAll();
      await sleep(QUIET_MS);
      const resumed = deposedAtMs === undefined ? undefined : history.resumedAfterMs(deposedAtMs);
      if (resumed !== undefined) resumedAfterMs.push(resumed);
      onFault?.(name, resumed);
    }
    await load.stop();
    await sessions.stop();
    await history.readAll(clerkCaller(clerk()));
    problems.push(...(await differences(cluster)));
  } catch (error) {
    problems.push((error as Error).stack ?? String(error));
  } finally {
    for (const made of clerks) made.close();
    for (const caller of nodeCallers) caller.close();
    await cluster.close();
  }
  const verdict = checkLinearizable(history.operations, stringModel);
  if (verdict.result !== 'linearizable') {
    const refused = history.refused.filter((line) => line.includes(` ${verdict.key}:`));
    problems.push(verdict.report, `refused on that key:\n${refused.join('\n')}`);
  }
  problems.push(...history.problems, ...sessions.problems);
  if (problems.length > 0) problems.push(`seed ${seed}`, cluster.output);
  const { answered, unknown, notDone } = history;
  return { problems, answered, unknown, notDone, resumedAfterMs };
}

/** What replicas hold at the same index, when it is not the same. */
async function differences(cluster: LocalCluster): Promise<string[]> {
  const states = await cluster.states();
  return new Set(states).size === 1 ? [] : [`replicas differ: ${states.join(' | ')}`];
}

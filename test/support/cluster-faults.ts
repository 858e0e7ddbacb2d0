/**
 * What is done to a cluster under load. A fault breaks something, waits a while and mends it, and says when it happened that
 * clients had to find another leader. What follows it, and the judgement, is in cluster-rounds.ts.
 */
import type { Random } from '../../engine/random.ts';
import type { Reply } from '../../net/client/reply.ts';
import { type ClusterNode, type LocalCluster, sleep } from './cluster.ts';

/** ms of performance.now at which the leader was lost; undefined: it was not, or was perhaps not. */
export type Deposed = number | undefined;
export type Fault = (cluster: LocalCluster, random: Random) => Promise<Deposed>;

/** Longer than an election, shorter than what clients wait. */
const lasting = (random: Random): Promise<void> => sleep(700 + random.below(800));

function oneOf<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)];
}

/** The leader, or waits for one. */
function leaderOf(cluster: LocalCluster): Promise<ClusterNode> {
  return cluster.waitForLeader();
}

async function followerOf(cluster: LocalCluster, random: Random): Promise<ClusterNode> {
  return oneOf(random, cluster.others(await leaderOf(cluster)));
}

async function killLeader(cluster: LocalCluster): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  await leader.kill();
  await leaderOf(cluster);
  leader.start();
  return at;
}

async function killFollower(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const follower = await followerOf(cluster, random);
  await follower.kill();
  await sleep(random.below(500));
  follower.start();
  return undefined;
}

/** Only for logs on disk. */
async function killAll(cluster: LocalCluster, random: Random): Promise<Deposed> {
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  const order = [...cluster.nodes];
  while (order.length > 0) {
    order.splice(random.below(order.length), 1)[0].start();
    await sleep(random.below(400));
  }
  return undefined;
}

/** Kills one that has hardly begun. Only for logs on disk. */
async function killTwice(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const node = oneOf(random, cluster.nodes);
  await node.kill();
  node.start();
  await sleep(300 + random.below(1500));
  await node.kill();
  node.start();
  return undefined;
}

async function pauseLeader(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  leader.pause();
  await lasting(random);
  leader.resume();
  return at;
}

async function pauseFollower(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const follower = await followerOf(cluster, random);
  follower.pause();
  await lasting(random);
  follower.resume();
  return undefined;
}

/** The leader and the others do not hear each other; clients reach all of them. */
async function isolateLeader(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  for (const other of cluster.others(leader)) cluster.part(leader, other);
  await lasting(random);
  cluster.heal();
  return at;
}

/** The leader is heard and hears nothing. */
async function deafLeader(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  for (const other of cluster.others(leader)) cluster.drop(other, leader);
  await lasting(random);
  cluster.heal();
  return at;
}

/** The leader hears the others and is not heard. */
async function muteLeader(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  for (const other of cluster.others(leader)) cluster.drop(leader, other);
  await lasting(random);
  cluster.heal();
  return at;
}

/** The leader and one follower do not hear each other; the third node is a bridge. */
async function partPair(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  cluster.part(leader, oneOf(random, cluster.others(leader)));
  await lasting(random);
  cluster.heal();
  return undefined;
}

/** Connections between nodes are reset and refused, again and again. */
async function flap(cluster: LocalCluster, random: Random): Promise<Deposed> {
  for (let i = 0; i < 8; i++) {
    const a = oneOf(random, cluster.nodes);
    cluster.sever(a, oneOf(random, cluster.others(a)));
    await sleep(50 + random.below(150));
    cluster.heal();
  }
  return undefined;
}

/** Everything between nodes takes longer, each direction its own time. */
async function delay(cluster: LocalCluster, random: Random): Promise<Deposed> {
  for (const a of cluster.nodes) for (const b of cluster.others(a)) cluster.link(a, b).delayMs = random.below(60);
  await lasting(random);
  cluster.heal();
  return undefined;
}

async function throttle(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  cluster.link(leader, oneOf(random, cluster.others(leader))).bytesPerSec = 20_000;
  await lasting(random);
  cluster.heal();
  return undefined;
}

/** What the followers answer is held until another one leads, and then reaches the old leader, in order and late. */
async function lateAnswers(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  for (const other of cluster.others(leader)) cluster.link(other, leader).hold();
  await lasting(random);
  cluster.heal();
  return at;
}

/** A bit of a frame between two nodes is turned. */
async function flipBits(cluster: LocalCluster, random: Random): Promise<Deposed> {
  for (let i = 0; i < 6; i++) {
    const a = oneOf(random, cluster.nodes);
    cluster.link(a, oneOf(random, cluster.others(a))).flipBit(random.below(300));
    await sleep(150);
  }
  return undefined;
}

/** What peers have said before is said to them again. */
async function replay(cluster: LocalCluster, random: Random): Promise<Deposed> {
  for (let i = 0; i < 4; i++) await cluster.replay(oneOf(random, cluster.nodes), random.below(3));
  return undefined;
}

/** Somebody asks the leader to hand over. */
async function transfer(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const reply: Reply | Error = await leader
    .ask('RAFT', 'TRANSFER', oneOf(random, cluster.others(leader)).name)
    .catch((error: Error) => error);
  if (reply !== 'OK') await sleep(100);
  return undefined;
}

/** The leader dies while it cannot hear one follower. */
async function killParted(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  cluster.part(leader, oneOf(random, cluster.others(leader)));
  await sleep(random.below(300));
  const at = performance.now();
  await leader.kill();
  cluster.heal();
  await leaderOf(cluster);
  leader.start();
  return at;
}

/** The leader is paused and cut off, so that it wakes up to its clients and nobody tells it that another one leads. */
async function pauseParted(cluster: LocalCluster, random: Random): Promise<Deposed> {
  const leader = await leaderOf(cluster);
  const at = performance.now();
  leader.pause();
  for (const other of cluster.others(leader)) cluster.part(leader, other);
  await lasting(random);
  leader.resume();
  await sleep(500);
  cluster.heal();
  return at;
}

/** What a cluster without proxies or namespaces can meet. */
export const PROCESS_FAULTS = { killLeader, killFollower, pauseLeader, pauseFollower, transfer };
/** Beside these, with logs on disk. */
export const DISK_FAULTS = { killAll, killTwice };
/** With proxies. */
export const PROXY_FAULTS = {
  isolateLeader,
  deafLeader,
  muteLeader,
  partPair,
  flap,
  delay,
  throttle,
  lateAnswers,
  flipBits,
  replay,
  killParted,
  pauseParted,
};
/** With namespaces. */
export const NAMESPACE_FAULTS = { isolateLeader, deafLeader, muteLeader, partPair, killParted, pauseParted };

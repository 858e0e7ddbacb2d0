/**
 * Leadership given to another voter, by a node that can do without it: one whose log cannot be written, or that is told to stop.
 * The group is then without a leader for a moment only, where it would wait for an election timeout. Main thread, rare.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicaId } from '../../engine/raft/entry.ts';
import type { Logger } from '../log.ts';
import type { Peers } from '../peer/peers.ts';
import type { Group } from './group.ts';
import type { Replica } from './replica.ts';
import { membersOf } from './status.ts';

/** How often it is looked whether another leads. */
const LOOK_MS = 10;

/** Hands over to the connected voter that has the most, as long as the log cannot be written here. To be called again and again. */
export function yieldLead(replica: Replica, peers: Peers): void {
  const { state } = replica.core;
  if (replica.front.trouble === '' || !replica.isLeader || state.transferee !== 0) return;
  const connected = new Set(peers.status().map((peer) => (peer.connected ? peer.replica : 0)));
  let best: ReplicaId = 0;
  for (const { id, match } of state.peers.list) {
    if (id === state.id || !connected.has(id) || !state.config.voters.includes(id)) continue;
    if (best === 0 || match > state.peers.find(best)!.match) best = id;
  }
  if (best === 0) return;
  replica.core.transferTo(best);
  replica.drive();
}

/** Lets somebody else lead, if this node does and one can, within so long; then the gap is short. */
export async function handOver(group: Group, patienceMs: number, log: Logger): Promise<void> {
  if (!group.hasStarted || !group.replica.isLeader) return;
  const { replica } = group;
  const { state } = replica.core;
  const successor = membersOf(group)
    .filter(({ id, role, connected }) => id !== state.id && role === 'voter' && connected)
    .sort((a, b) => b.match - a.match)[0];
  if (successor === undefined || !replica.transferTo(successor.id)) return;
  const untilMs = performance.now() + patienceMs;
  while ((replica.isLeader || state.leader === 0 || !replica.forwards.isEmpty) && performance.now() < untilMs) {
    await sleep(LOOK_MS);
  }
  log.write('notice', replica.isLeader ? `${successor.name} did not take over` : `${successor.name} takes over`);
}

/** How a leader begins a change of members; leader.ts ends it (`afterCommit`). */
import { Configuration, isMemberList } from './config.ts';
import type { LogIndex, ReplicaId } from './entry.ts';
import { appendConfig } from './leader.ts';
import { CHANGE_UNDER_WAY, NO_SUCH_CHANGE, NOT_LEADER, TRANSFERRING } from './refusal.ts';
import { LEADER, type Replica } from './replica.ts';

/** The index of the entry that begins the change, or why there is none. */
export function proposeChange(r: Replica, voters: readonly ReplicaId[], learners: readonly ReplicaId[]): LogIndex {
  if (r.role !== LEADER) return NOT_LEADER;
  if (r.transferee !== 0) return TRANSFERRING;
  const { config } = r;
  // The leader's first own entry commits all changes before it, and once applied here the caller knows of them too.
  if (config.isJoint || r.commit < r.configs.currentIndex || r.applied < r.electionIndex) return CHANGE_UNDER_WAY;
  const members = [...voters, ...learners];
  const isReused = members.some((id) => config.wasRemoved(id));
  if (voters.length === 0 || !isMemberList(members) || isReused) return NO_SUCH_CHANGE;
  const next = new Configuration(voters, [], learners, config.lastId);
  const hasSameVoters = isSame(next.voters, config.voters);
  if (hasSameVoters && isSame(next.learners, config.learners)) return NO_SUCH_CHANGE;
  return appendConfig(r, hasSameVoters ? next : next.withOutgoing(config.voters));
}

function isSame(a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

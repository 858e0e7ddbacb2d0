/**
 * How a replica becomes leader: PreVote first, so that one that cannot win disturbs nobody (Raft thesis 9.6), then the vote.
 * Voters who hear of a leader ignore both (thesis 4.2.3), unless that leader asked for the election.
 */
import { becomeLeader } from './leader.ts';
import { Message, PREVOTE, PREVOTE_REPLY, VOTE, VOTE_REPLY } from './message.ts';
import { VOTE_GRANTED, VOTE_REFUSED, VOTE_UNKNOWN } from './progress.ts';
import { CANDIDATE, FOLLOWER, LEADER, PRECANDIDATE, type Replica } from './replica.ts';

/** Whether this voter hears of a leader, and so takes part in no election. */
export function hearsLeader(r: Replica): boolean {
  return r.role === LEADER || r.sinceLeader < r.options.electionTicks;
}

/** Begins an election; nothing happens where this replica cannot win or had better not. */
export function campaign(r: Replica, force: boolean): void {
  if (r.role === LEADER || !mayLead(r) || r.isStalled) {
    r.restartTimeout();
    return;
  }
  if (force) askForVotes(r, true);
  else askForPrevotes(r);
}

/**
 * A voter, or one whose removal is not known to be committed: if it alone holds that entry, the others can neither finish the
 * change nor, by its vote, elect somebody who lacks the entry (thesis 4.2.2). It may have become a voter by an entry of which it does
 * not know either that it is committed, since a restart forgets that. Its own vote counts where it is a voter.
 */
function mayLead(r: Replica): boolean {
  return r.configs.hasVoterSince(r.commit, r.id);
}

function begin(r: Replica, role: number): void {
  if (r.leader !== 0) r.reads.failAll(r.readStates);
  r.role = role;
  r.leader = 0;
  r.restartTimeout();
  for (const p of r.peers.list) p.vote = VOTE_UNKNOWN;
}

function askForPrevotes(r: Replica): void {
  begin(r, PRECANDIDATE);
  // The term is only tried: nobody adopts it, this replica included.
  ask(r, PREVOTE, r.term + 1, false);
  count(r, r.id, true);
}

function askForVotes(r: Replica, force: boolean): void {
  begin(r, CANDIDATE);
  r.setTerm(r.term + 1, r.id);
  // Its own vote counts when it is durable: `voteIsDurable`.
  ask(r, VOTE, r.term, force);
}

function ask(r: Replica, type: number, term: number, force: boolean): void {
  for (const p of r.peers.list) {
    if (p.id === r.id || !r.config.isVoter(p.id)) continue;
    const m = new Message(type, r.group, r.id, p.id, term);
    m.index = r.log.lastIndex;
    m.logTerm = r.log.lastTerm;
    m.force = force;
    if (type === VOTE) r.sendAfterWrite(m);
    else r.send(m);
  }
}

/** Called when a write has ended that may have held this candidate's vote for itself. */
export function voteIsDurable(r: Replica): void {
  if (r.role === CANDIDATE && r.writes.durableTerm === r.term) count(r, r.id, true);
}

function count(r: Replica, from: number, granted: boolean): void {
  const p = r.peers.find(from);
  if (p === undefined || p.vote !== VOTE_UNKNOWN) return;
  p.vote = granted ? VOTE_GRANTED : VOTE_REFUSED;
  const result = r.peers.electionResult(r.config);
  if (result === VOTE_REFUSED) r.becomeFollower(r.term, 0);
  else if (result === VOTE_GRANTED) {
    if (r.role === PRECANDIDATE) askForVotes(r, false);
    else becomeLeader(r);
  }
}

/** A VOTE or PREVOTE that is not of an earlier term. A PREVOTE changes nothing here. */
export function onVoteRequest(r: Replica, m: Message): void {
  const isPrevote = m.type === PREVOTE;
  const isFree = r.vote === m.from || (r.vote === 0 && r.leader === 0) || (isPrevote && m.term > r.term);
  const { lastTerm, lastIndex } = r.log;
  const isUpToDate = m.logTerm > lastTerm || (m.logTerm === lastTerm && m.index >= lastIndex);
  const isGranted = isFree && isUpToDate;
  if (isGranted && !isPrevote) {
    r.setTerm(r.term, m.from);
    r.restartTimeout();
  }
  const term = isGranted ? m.term : r.term;
  const reply = new Message(isPrevote ? PREVOTE_REPLY : VOTE_REPLY, r.group, r.id, m.from, term);
  reply.reject = !isGranted;
  r.sendAfterWrite(reply);
}

export function onVoteReply(r: Replica, m: Message): void {
  if (m.type === PREVOTE_REPLY) {
    if (r.role === PRECANDIDATE && (m.reject || m.term === r.term + 1)) count(r, m.from, !m.reject);
  } else if (r.role === CANDIDATE) count(r, m.from, !m.reject);
}

/** The leader has caught this replica up and wants it to take over. */
export function onTimeoutNow(r: Replica): void {
  if (r.role === FOLLOWER) campaign(r, true);
}

/**
 * What a leader does: replicates its log, decides what is committed, steps down when it has lost touch or its place. Messages
 * are made when the caller asks for a Ready, so proposals in between travel together.
 */
import type { Configuration } from './config.ts';
import { encodeConfig } from './config.ts';
import { ENTRY_CONFIG, ENTRY_NOOP, Entry, type LogIndex, NO_BYTES, type ReplicaId } from './entry.ts';
import { must } from './errors.ts';
import { APPEND, HEARTBEAT, type Message, NO_ENTRIES, READ_INDEX_REPLY, TIMEOUT_NOW } from './message.ts';
import { PROBE, type Progress, REPLICATE, SNAPSHOT_SENT } from './progress.ts';
import { LEADER, type Replica } from './replica.ts';

export function becomeLeader(r: Replica): void {
  must(r.writes.durableTerm === r.term, 'the vote of a leader for itself is durable');
  r.role = LEADER;
  r.leader = r.id;
  r.transferee = 0;
  r.hasForfeited = false;
  r.sinceQuorumCheck = 0;
  r.sinceHeartbeat = 0;
  r.electionIndex = r.log.lastIndex + 1;
  r.uncommittedBytes = 0;
  r.reads.beginTerm();
  for (const p of r.peers.list) p.reset(r.electionIndex);
  const self = r.peers.find(r.id);
  if (self !== undefined) self.match = r.writes.durable;
  // The configuration that a group began with is in nobody's log, and who joins later would not know it: a snapshot taken before
  // the first change arrives would have none.
  if (r.configs.currentIndex === 0) appendConfig(r, r.config);
  else appendOwn(r, ENTRY_NOOP, NO_BYTES, 0, 0);
  // Its APPENDs say that there is a leader; the round is there so that reads need not wait for the next tick.
  broadcastHeartbeat(r);
}

export function appendOwn(r: Replica, kind: number, bytes: Uint8Array, start: number, length: number): LogIndex {
  const index = r.log.lastIndex + 1;
  r.uncommittedBytes += length;
  r.append(new Entry(index, r.term, kind, bytes, start, length));
  return index;
}

export function appendConfig(r: Replica, config: Configuration): LogIndex {
  const bytes = encodeConfig(config);
  return appendOwn(r, ENTRY_CONFIG, bytes, 0, bytes.length);
}

export function tickLeader(r: Replica): void {
  const { electionTicks, heartbeatTicks } = r.options;
  if (r.transferee !== 0 && ++r.sinceTransfer >= electionTicks) r.transferee = 0;
  if (++r.sinceQuorumCheck >= electionTicks) {
    r.sinceQuorumCheck = 0;
    if (!hasQuorum(r)) {
      r.becomeFollower(r.term, 0);
      return;
    }
  }
  if (r.isStalled) {
    r.becomeFollower(r.term, 0);
    return;
  }
  if (++r.sinceHeartbeat >= heartbeatTicks) {
    r.sinceHeartbeat = 0;
    broadcastHeartbeat(r);
  }
}

/** CheckQuorum (thesis 6.2): whether a majority was heard of since the last time. */
function hasQuorum(r: Replica): boolean {
  const self = r.peers.find(r.id);
  if (self !== undefined) self.active = true;
  const holds = r.peers.isQuorumActive(r.config);
  for (const p of r.peers.list) p.active = false;
  return holds;
}

export function broadcastHeartbeat(r: Replica): void {
  const round = r.reads.beginRound(r.clock);
  for (const p of r.peers.list) {
    if (p.id === r.id) {
      p.ackedRound = round;
      continue;
    }
    const m = r.message(HEARTBEAT, p.id);
    // No further than where its log is known to agree.
    m.commit = Math.min(p.match, r.commit);
    m.round = round;
    r.send(m);
  }
  answerReads(r);
}

/** Everything there is to send, for the next Ready. */
export function replicate(r: Replica): void {
  if (r.reads.wantsRound) broadcastHeartbeat(r);
  for (const p of r.peers.list) if (p.id !== r.id) sendAppends(r, p);
}

function sendAppends(r: Replica, p: Progress): void {
  while (!p.isPaused) {
    const hasNew = p.next <= r.log.lastIndex;
    if (!hasNew && !p.nudged && !owesCommit(r, p)) return;
    if (p.next <= r.log.baseIndex) {
      requestSnapshot(r, p);
      return;
    }
    if (hasNew && p.next < r.log.keptFirst) {
      fetch(r, p);
      return;
    }
    sendAppend(r, p, hasNew ? r.log.slice(p.next, r.options.appendBytes) : NO_ENTRIES);
  }
}

/**
 * Whether the member is to be told of a commit without an entry to go with it. Not before it was handed out here: under load the
 * next entry is made then, and takes the news along.
 */
function owesCommit(r: Replica, p: Progress): boolean {
  return p.state === REPLICATE && p.sentCommit < r.commit && r.handed >= Math.min(r.commit, r.writes.durable);
}

function sendAppend(r: Replica, p: Progress, entries: readonly Entry[]): void {
  const m = r.message(APPEND, p.id);
  m.index = p.next - 1;
  m.logTerm = r.log.termAt(m.index);
  m.commit = r.commit;
  m.entries = entries;
  r.send(m);
  p.nudged = false;
  p.sentCommit = r.commit;
  if (p.state === PROBE) {
    p.probeSent = true;
  } else if (entries.length > 0) {
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) bytes += entries[i].length;
    p.next += entries.length;
    p.inflights.add(p.next - 1, bytes);
  }
}

function fetch(r: Replica, p: Progress): void {
  if (p.fetching) return;
  p.fetching = true;
  r.fetches.push({ replica: p.id, from: p.next, to: r.log.keptFirst, maxBytes: r.options.appendBytes });
}

export function onFetched(r: Replica, p: Progress, entries: readonly Entry[]): void {
  if (!p.fetching) return;
  p.fetching = false;
  const last = entries.length === 0 ? null : entries[entries.length - 1];
  if (last === null) {
    // The storage could not, for now: the answer to the next heartbeat tries again.
    p.probeFrom(p.match + 1);
    p.probeSent = true;
  } else if (entries[0].index === p.next && !p.isPaused && r.log.termAt(last.index) === last.term) {
    if (p.next > r.log.baseIndex) sendAppend(r, p, entries);
  }
}

function requestSnapshot(r: Replica, p: Progress): void {
  // Whoever does not answer gets no snapshot either.
  if (!p.active) return;
  p.awaitSnapshot(r.log.baseIndex);
  r.snapshots.push({ replica: p.id, atLeast: r.log.baseIndex });
}

export function onAppendReply(r: Replica, p: Progress, m: Message): void {
  p.active = true;
  if (m.reject) {
    onRefused(r, p, m);
    return;
  }
  must(m.index <= r.log.lastIndex, 'nobody acknowledges what was not sent');
  const isNews = m.index > p.match;
  if (isNews) {
    p.match = m.index;
    p.next = Math.max(p.next, m.index + 1);
  }
  if (p.state === REPLICATE) p.inflights.freeTo(m.index);
  else if (p.state === PROBE) {
    if (m.index >= p.match) p.replicate();
  } else if (p.match >= r.log.baseIndex) p.replicate();
  if (!isNews) return;
  advanceCommit(r);
  if (r.role === LEADER && r.transferee === p.id) handOver(r, p);
}

function onRefused(r: Replica, p: Progress, m: Message): void {
  if (p.state === REPLICATE) {
    // Below `match` it is the refusal of a message from long ago.
    if (m.index > p.match) p.probeFrom(p.match + 1);
  } else if (p.state === PROBE && m.index === p.next - 1) {
    p.probeFrom(Math.min(m.index, r.log.lastWithin(m.hint, m.logTerm) + 1));
  }
}

export function onHeartbeatReply(r: Replica, p: Progress, m: Message): void {
  p.active = true;
  p.probeSent = false;
  if (m.round > p.ackedRound) p.ackedRound = m.round;
  if (p.state === REPLICATE && p.inflights.isFull) p.inflights.freeFirst();
  // If something got lost, the answer to one more APPEND says what.
  if (p.match < r.log.lastIndex && p.state !== SNAPSHOT_SENT) p.nudged = true;
  answerReads(r);
}

/** The leader's own entries have become durable. */
export function onOwnDurable(r: Replica): void {
  const self = r.peers.find(r.id);
  if (self === undefined || r.writes.durable <= self.match) return;
  self.match = r.writes.durable;
  advanceCommit(r);
}

function advanceCommit(r: Replica): void {
  const index = r.peers.matchOfQuorum(r.config);
  // Counting commits entries of the own term only, and all before them with them (Raft 5.4.2, figure 8).
  if (index <= r.commit || r.log.termAt(index) !== r.term) return;
  for (let i = Math.max(r.commit + 1, r.electionIndex); i <= index; i++) r.uncommittedBytes -= r.log.entryAt(i)!.length;
  r.commitTo(index);
  r.reads.startEarly(r.commit);
  afterCommit(r);
}

function afterCommit(r: Replica): void {
  if (r.commit < r.configs.currentIndex) return;
  const { config } = r;
  if (config.isJoint) {
    appendConfig(r, config.withoutOutgoing());
  } else if (!config.voters.includes(r.id)) {
    // Its work is done (thesis 4.2.2): the others learn of the commit, and the best of them need not wait for a time-out.
    replicate(r);
    const best = bestSuccessor(r);
    if (best !== null) sendTimeoutNow(r, best);
    r.becomeFollower(r.term, 0);
  }
}

function bestSuccessor(r: Replica): Progress | null {
  let best: Progress | null = null;
  for (const p of r.peers.list) {
    if (r.config.voters.includes(p.id) && (best === null || p.match > best.match)) best = p;
  }
  return best;
}

/** Asks the member to take over if it has everything. */
export function handOver(r: Replica, p: Progress): void {
  if (p.match === r.log.lastIndex) sendTimeoutNow(r, p);
}

function sendTimeoutNow(r: Replica, p: Progress): void {
  r.hasForfeited = true;
  r.send(r.message(TIMEOUT_NOW, p.id));
}

export function readOnLeader(r: Replica, from: ReplicaId, token: number, incarnation: number): void {
  if (!r.knowsCommit) r.reads.hold(from, token, incarnation);
  else if (holdsLease(r)) answerRead(r, from, token, incarnation, r.commit);
  else r.reads.add(from, token, incarnation, r.commit);
}

/** Whether no other leader can have been elected yet, by the clock. */
export function holdsLease(r: Replica): boolean {
  if (r.options.leaseTicks === 0 || r.hasForfeited || r.transferee !== 0) return false;
  const since = r.reads.tickOf(r.peers.roundOfQuorum(r.config));
  return since >= 0 && r.clock - since < r.options.leaseTicks;
}

function answerReads(r: Replica): void {
  const round = r.peers.roundOfQuorum(r.config);
  let read = r.reads.takeAnswered(round);
  while (read !== undefined) {
    answerRead(r, read.from, read.token, read.incarnation, read.index);
    read = r.reads.takeAnswered(round);
  }
}

function answerRead(r: Replica, from: ReplicaId, token: number, incarnation: number, index: LogIndex): void {
  if (from === 0) {
    r.readStates.push({ token, index });
    return;
  }
  const m = r.message(READ_INDEX_REPLY, from);
  m.round = token;
  m.incarnation = incarnation;
  m.index = index;
  r.send(m);
}

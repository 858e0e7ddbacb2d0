/** What a replica does with its leader's messages. They are of its own term, and `from` is its leader, when they come here. */
import { must } from './errors.ts';
import { APPEND_REPLY, HEARTBEAT_REPLY, type Message } from './message.ts';
import type { Replica } from './replica.ts';

export function onAppend(r: Replica, m: Message): void {
  // What is committed here is the same there: no need to look.
  if (m.index < r.commit) {
    acknowledge(r, m.from, r.commit);
  } else if (r.log.termAt(m.index) === m.logTerm) {
    appendMissing(r, m);
    const last = m.index + m.entries.length;
    // Entries behind `last` may be some other leader's.
    r.commitTo(Math.min(m.commit, last));
    acknowledge(r, m.from, last);
  } else {
    refuse(r, m);
  }
}

function appendMissing(r: Replica, m: Message): void {
  const entries = m.entries;
  let i = 0;
  while (i < entries.length && r.log.termAt(entries[i].index) === entries[i].term) i++;
  if (i === entries.length) return;
  // Only a conflict takes entries away: a late message that holds less than the log proves nothing (Raft 5.3).
  if (entries[i].index <= r.log.lastIndex) r.truncateFrom(entries[i].index);
  for (; i < entries.length; i++) r.append(entries[i]);
}

/** Acknowledgements that wait for the same write are one: the last says it all. */
function acknowledge(r: Replica, leader: number, index: number): void {
  const last = r.afterWrite.length === 0 ? null : r.afterWrite[r.afterWrite.length - 1];
  if (last !== null && last.type === APPEND_REPLY && !last.reject && last.to === leader && last.term === r.term) {
    if (index > last.index) last.index = index;
    return;
  }
  const reply = r.message(APPEND_REPLY, leader);
  reply.index = index;
  r.sendAfterWrite(reply);
}

/** Says where the leader might try next: past all entries of terms that cannot match (thesis 3.3, end). */
function refuse(r: Replica, m: Message): void {
  const reply = r.message(APPEND_REPLY, m.from);
  reply.reject = true;
  reply.index = m.index;
  const within = r.log.lastWithin(Math.min(m.index, r.log.lastIndex), m.logTerm);
  reply.hint = Math.max(within, r.commit);
  reply.logTerm = r.log.termAt(reply.hint);
  r.sendAfterWrite(reply);
}

export function onHeartbeat(r: Replica, m: Message): void {
  r.commitTo(m.commit);
  const reply = r.message(HEARTBEAT_REPLY, m.from);
  reply.round = m.round;
  // A slow disk must not make a live replica look dead; only its term has to be durable.
  if (r.writes.durableTerm === r.term) r.send(reply);
  else r.sendAfterWrite(reply);
}

/** A snapshot has arrived whole. One that says nothing new changes nothing. */
export function onSnapshot(r: Replica, m: Message): void {
  const snapshot = m.snapshot!;
  must(snapshot !== null, 'a snapshot message has one');
  if (snapshot.index > r.commit) {
    if (r.log.termAt(snapshot.index) === snapshot.term) r.commitTo(snapshot.index);
    else restore(r, m);
  }
  acknowledge(r, m.from, r.commit);
}

function restore(r: Replica, m: Message): void {
  const { index, term, config, configIndex } = m.snapshot!;
  // What is not committed here may be longer than the snapshot, and is void.
  r.writes.truncateFrom(r.commit + 1);
  r.log.restart(index, term);
  r.configs.restart(configIndex, config);
  r.followConfig();
  r.writes.next = index + 1;
  r.commit = index;
  r.handed = index;
  r.snapshot = m.snapshot;
}

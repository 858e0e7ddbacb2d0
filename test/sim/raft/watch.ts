/**
 * Looks at every step of every replica of a simulated world, knows everything, and throws Broken when something is so that must
 * never be (broken.ts says what). The histories of keys are judged at the end (judge.ts).
 */
import { crc32c } from '../../../engine/log/crc32c.ts';
import { type Configuration, decodeConfig } from '../../../engine/raft/config.ts';
import {
  ENTRY_CONFIG,
  type Entry,
  type LogIndex,
  type ReplicaId,
  type SnapshotMeta,
  type Term,
} from '../../../engine/raft/entry.ts';
import {
  APPEND_REPLY,
  HEARTBEAT,
  HEARTBEAT_REPLY,
  type Message,
  PREVOTE_REPLY,
  TIMEOUT_NOW,
  VOTE,
  VOTE_REPLY,
} from '../../../engine/raft/message.ts';
import type { Ready } from '../../../engine/raft/ready.ts';
import { CANDIDATE, LEADER } from '../../../engine/raft/replica.ts';
import { Broken, type Invariant } from './broken.ts';
import type { SimReplica } from './replica.ts';
import type { Tally } from './tally.ts';

/** Of so many entries, one is compared with everything there is. */
const COMPARED_EVERY = 16;
const TERM_STEP = 2 ** 24;

/** What was seen of a replica in this life. */
interface Seen {
  term: Term;
  commit: LogIndex;
  applied: LogIndex;
  config: Configuration;
}

/** A linearizable read that was asked for. */
interface Question {
  /** What was committed by then. */
  readonly floor: LogIndex;
  readonly askedAt: number;
  /** The term in which it was asked of the leader itself; 0 when it was asked of another. */
  readonly term: Term;
}

export class Watch {
  /** Entries that some replica knew to be committed: their terms, by index. */
  readonly committed: Term[] = [0];
  private readonly replicas: ReadonlyMap<ReplicaId, SimReplica>;
  private readonly tally: Tally;
  /** In which term each was committed. */
  private readonly committedIn: Term[] = [0];
  /** The committed configurations, ascending by index. */
  private readonly configs: { index: LogIndex; config: Configuration }[];
  private readonly leaders = new Map<Term, ReplicaId>();
  private readonly votes = new Map<string, ReplicaId>();
  /** The highest term in which a replica has promised something. */
  private readonly promised = new Map<ReplicaId, Term>();
  private highestTerm: Term = 0;
  /** "candidate:term" -> who would vote for it. */
  private readonly leave = new Map<string, Set<ReplicaId>>();
  /** "replica:term" -> the newest round of heartbeats that it has heard of. */
  private readonly heard = new Map<string, number>();
  private readonly told = new Set<string>();
  /** What an entry was when it was first written, and what came before it. */
  private readonly entries = new Map<number, string>();
  private readonly applied: string[] = [];
  private readonly digests: number[] = [];
  private readonly states = new Map<LogIndex, string>();
  private readonly seen = new Map<ReplicaId, Seen>();
  private readonly questions = new Map<number, Question>();
  /** "replica:term" -> when it last heard a heartbeat of that term. */
  private readonly heardAt = new Map<string, number>();

  constructor(replicas: ReadonlyMap<ReplicaId, SimReplica>, config: Configuration, tally: Tally) {
    this.replicas = replicas;
    this.tally = tally;
    this.configs = [{ index: 0, config }];
  }

  private broken(invariant: Invariant, what: string): never {
    throw new Broken(invariant, what);
  }

  // ---------------------------------------------------------------- messages

  onSend(m: Message): void {
    if (m.type === VOTE) this.vote(m.from, m.term, m.from);
    else if (m.type === VOTE_REPLY && !m.reject) this.vote(m.from, m.term, m.to);
    else if (m.type !== VOTE_REPLY && m.type !== APPEND_REPLY && m.type !== HEARTBEAT_REPLY) return;
    const before = this.promised.get(m.from) ?? 0;
    if (m.term < before) this.broken('M', `n${m.from} speaks in term ${m.term}, after it has in term ${before}`);
    this.promised.set(m.from, m.term);
  }

  private vote(voter: ReplicaId, term: Term, candidate: ReplicaId): void {
    const key = `${voter}:${term}`;
    const before = this.votes.get(key);
    if (before === undefined) this.votes.set(key, candidate);
    else if (before !== candidate) {
      this.broken('E', `n${voter} votes for n${candidate} in term ${term}, after n${before}`);
    }
  }

  onReceive(m: Message, now: number): void {
    if (m.type === HEARTBEAT) {
      const key = `${m.to}:${m.term}`;
      this.heardAt.set(key, now);
      if (m.round > (this.heard.get(key) ?? 0)) this.heard.set(key, m.round);
    }
    if (m.type === TIMEOUT_NOW) this.told.add(`${m.to}:${m.term + 1}`);
    if (m.type !== PREVOTE_REPLY || m.reject) return;
    const key = `${m.to}:${m.term}`;
    let voters = this.leave.get(key);
    if (voters === undefined) this.leave.set(key, (voters = new Set()));
    voters.add(m.from);
  }

  // ---------------------------------------------------------------- steps

  onStart(r: SimReplica): void {
    const { term, commit, config, isLost } = r.core.state;
    this.seen.set(r.id, { term, commit, applied: r.machine.appliedIndex, config });
    if (isLost) return;
    if (r.machine.appliedIndex > 0) this.compareAt(r);
    if (term > this.highestTerm) this.broken('M', `n${r.id} starts in term ${term}, which nobody has begun`);
  }

  /** Before anything that Ready wants is done. */
  onReady(r: SimReplica, out: Ready): void {
    this.onTerm(r);
    if (out.hardState !== null && out.hardState.term < r.storage.durable.hardState.term) {
      this.broken('M', `n${r.id} writes term ${out.hardState.term} over ${r.storage.durable.hardState.term}`);
    }
    const { log } = r.core.state;
    for (const entry of out.entries) this.onWrite(r, entry, log.termAt(entry.index - 1));
    this.onCommit(r);
  }

  private onTerm(r: SimReplica): void {
    const { term, role, config, configs, commit } = r.core.state;
    const seen = this.seen.get(r.id)!;
    if (term < seen.term) this.broken('M', `the term of n${r.id} goes back from ${seen.term} to ${term}`);
    seen.term = term;
    if (term > this.highestTerm) {
      this.highestTerm = term;
      const grants = this.leave.get(`${r.id}:${term}`);
      const count = config.voters.filter((id) => id === r.id || grants?.has(id)).length;
      const may = this.told.has(`${r.id}:${term}`) || count * 2 > config.voters.length;
      if ((role !== CANDIDATE && role !== LEADER) || !may) {
        this.broken('A', `n${r.id} begins term ${term} without a majority's leave`);
      }
    }
    if (role !== LEADER) return;
    const known = this.leaders.get(term);
    if (known === r.id) return;
    if (known !== undefined) this.broken('E', `n${known} and n${r.id} both lead in term ${term}`);
    this.leaders.set(term, r.id);
    this.tally.add('elections');
    if (!configs.hasVoterSince(commit, r.id)) {
      this.broken('E', `n${r.id} leads in term ${term}, and is no voter`);
    }
    this.checkComplete(r);
  }

  /** A leader has everything that was committed in the terms before its own. */
  private checkComplete(r: SimReplica): void {
    const { log, term } = r.core.state;
    for (let i = log.baseIndex + 1; i < this.committed.length; i++) {
      if (this.committedIn[i] < term && log.termAt(i) !== this.committed[i]) {
        this.broken(
          'D',
          `n${r.id} leads in term ${term} without the committed entry ${i} of term ${this.committed[i]}`,
        );
      }
    }
  }

  /** Two logs that agree on an entry agree on all before it. */
  private onWrite(r: SimReplica, entry: Entry, before: Term): void {
    const key = entry.term * TERM_STEP + entry.index;
    const what = `${before} ${textOf(entry)}`;
    const known = this.entries.get(key);
    if (known === undefined) this.entries.set(key, what);
    else if (known !== what) {
      this.broken('C', `n${r.id} has another entry ${entry.index} of term ${entry.term}: ${what}, not ${known}`);
    }
  }

  private onCommit(r: SimReplica): void {
    const { commit, log, term, config } = r.core.state;
    const seen = this.seen.get(r.id)!;
    if (commit < seen.commit)
      this.broken('M', `the commit index of n${r.id} goes back from ${seen.commit} to ${commit}`);
    if (commit > log.lastIndex) this.broken('C', `n${r.id} has entry ${commit} committed, and not in its log`);
    if (commit === seen.commit) return;
    const before = this.committed.length;
    for (let i = Math.max(seen.commit, log.baseIndex) + 1; i <= commit; i++) {
      const known = this.committed[i];
      if (known === undefined) {
        this.committed[i] = log.termAt(i);
        this.committedIn[i] = term;
      } else if (known !== log.termAt(i)) {
        this.broken('C', `n${r.id} commits entry ${i} of term ${log.termAt(i)}; it was committed with term ${known}`);
      }
    }
    seen.commit = commit;
    if (this.committed.length === before) return;
    this.tally.add('entries committed', this.committed.length - before);
    // Committing may have ended the change of members by which it was counted.
    if (!this.isOnMajority(commit, seen.config) && !this.isOnMajority(commit, config)) {
      this.broken('C', `n${r.id} commits entry ${commit}, which is not durable on a majority`);
    }
  }

  private isOnMajority(index: LogIndex, { voters, outgoing }: Configuration): boolean {
    const term = this.committed[index];
    const isOn = (ids: readonly ReplicaId[]) => {
      const count = ids.filter((id) => this.replicas.get(id)?.storage.durable.has(index, term)).length;
      return count * 2 > ids.length;
    };
    return isOn(voters) && (outgoing.length === 0 || isOn(outgoing));
  }

  /** After everything that Ready wanted. */
  onStep(r: SimReplica): void {
    const { state } = r.core;
    const seen = this.seen.get(r.id)!;
    seen.config = state.config;
    if (state.isLost) return;
    const { appliedIndex } = r.machine;
    if (appliedIndex > state.commit)
      this.broken('C', `n${r.id} applies entry ${appliedIndex}, and knows only ${state.commit} to be committed`);
    if (appliedIndex < seen.applied) this.broken('M', `the applied index of n${r.id} goes back to ${appliedIndex}`);
    seen.applied = appliedIndex;
    if (state.role === LEADER && state.term === this.highestTerm) this.checkBeliefs(r);
  }

  /** What the newest leader believes of the others is so: nobody can have made them cut their logs since. */
  private checkBeliefs(r: SimReplica): void {
    const { id: self, term, log, peers } = r.core.state;
    for (const { id, match, ackedRound } of peers.list) {
      const has = match <= log.baseIndex || this.replicas.get(id)?.storage.durable.has(match, log.termAt(match));
      if (!has) this.broken('C', `n${self} counts on n${id} to have entry ${match} of term ${log.termAt(match)}`);
      if (id !== self && ackedRound > (this.heard.get(`${id}:${term}`) ?? 0)) {
        this.broken('R', `n${self} takes round ${ackedRound} for answered by n${id}, who has not heard of it`);
      }
    }
  }

  // ---------------------------------------------------------------- state machines

  onApply(r: SimReplica, entry: Entry): void {
    const { index } = entry;
    const what = `${entry.term} ${textOf(entry)}`;
    const known = this.applied[index];
    if (known === undefined) {
      this.applied[index] = what;
      if (entry.kind === ENTRY_CONFIG) {
        this.configs.push({ index, config: decodeConfig(entry.bytes, entry.start, entry.length) });
      }
    } else if (known !== what) this.broken('C', `n${r.id} applies ${what} as entry ${index}; it was ${known}`);
    // Or a snapshot of it could be ahead of the log that it is to replace.
    if (!r.storage.durable.has(index, entry.term))
      this.broken('D', `n${r.id} applies entry ${index}, which its own disk lacks`);
    this.compareAt(r);
    if (index % COMPARED_EVERY === 0) this.compare(r);
  }

  /** The digest of all replies up to here is that of the others. */
  private compareAt(r: SimReplica): void {
    const { appliedIndex: index, digest } = r.machine;
    const known = this.digests[index];
    if (known === undefined) this.digests[index] = digest;
    else if (known !== digest) this.broken('S', `n${r.id} has another state after entry ${index}: its replies differ`);
  }

  /** Everything that the replica holds is what the others held. */
  compare(r: SimReplica): void {
    const index = r.machine.appliedIndex;
    const state = r.machine.describe();
    const known = this.states.get(index);
    this.tally.add('states compared');
    if (known === undefined) this.states.set(index, state);
    else if (known !== state) {
      this.broken('S', `n${r.id} has another state after entry ${index}:\n${state}\n--- and not\n${known}`);
    }
  }

  onInstall(r: SimReplica, { index, term, config }: SnapshotMeta): void {
    const { appliedIndex } = r.machine;
    if (index <= appliedIndex) {
      this.broken('M', `n${r.id} has applied entry ${appliedIndex}, and installs a snapshot of entry ${index}`);
    }
    if (this.committed[index] !== term)
      this.broken('C', `n${r.id} installs a snapshot of entry ${index} of term ${term}`);
    const members = this.configs.findLast((each) => each.index <= index)!.config;
    if (JSON.stringify(members) !== JSON.stringify(config)) {
      this.broken(
        'C',
        `the snapshot of entry ${index} says ${JSON.stringify(config)}, and it was ${JSON.stringify(members)}`,
      );
    }
  }

  onInstalled(r: SimReplica): void {
    this.compareAt(r);
    this.compare(r);
  }

  // ---------------------------------------------------------------- reads

  onReadAsked(r: SimReplica, token: number): void {
    const { term, role } = r.core.state;
    const { now: askedAt } = r.world.events;
    this.questions.set(token, { floor: this.committed.length - 1, askedAt, term: role === LEADER ? term : 0 });
  }

  private haveHeard(leader: ReplicaId, { term, askedAt }: Question, { voters, outgoing }: Configuration): boolean {
    const has = (ids: readonly ReplicaId[]) =>
      ids.filter((id) => id === leader || (this.heardAt.get(`${id}:${term}`) ?? -1) >= askedAt).length * 2 > ids.length;
    return has(voters) && (outgoing.length === 0 || has(outgoing));
  }

  /** A linearizable read sees all that was committed anywhere before it was asked for. */
  onReadState(r: SimReplica, token: number, index: LogIndex): void {
    const question = this.questions.get(token);
    if (question === undefined) return;
    this.questions.delete(token);
    const { floor } = question;
    const { term, options, config } = r.core.state;
    if (index !== 0 && question.term === term && options.leaseTicks === 0) {
      const before = this.seen.get(r.id)!.config;
      if (!this.haveHeard(r.id, question, before) && !this.haveHeard(r.id, question, config)) {
        this.broken('R', `n${r.id} may read at ${index}, and no majority has heard of it since it asked`);
      }
    }
    if (index !== 0 && index < floor) {
      this.broken('R', `n${r.id} may read at ${index}, and entry ${floor} was committed before it asked`);
    }
  }
}

function textOf({ kind, bytes, start, length }: Entry): string {
  return `${kind} ${length} ${crc32c(bytes, start, length)}`;
}

/**
 * What must never happen in a group of replicas, watched while it runs: two leaders in a term (E), a committed entry that changes (C),
 * two logs that agree on an entry and not on what comes before it (S), an acknowledged write that is gone (D), a read that misses one (R).
 */
import type { RaftCore } from '../../engine/raft/core.ts';
import type { Entry, LogIndex, SnapshotMeta } from '../../engine/raft/entry.ts';
import type { ReadState, Ready } from '../../engine/raft/ready.ts';
import type { Member } from './raft.ts';

function say(what: string, ...details: unknown[]): never {
  throw new Error(`${what}: ${details.map((d) => JSON.stringify(d)).join(' ')}`);
}

export class RaftWatch {
  private readonly leaderOf = new Map<number, number>();
  /** "index:term" -> the term before it and the bytes. */
  private readonly written = new Map<string, string>();
  /** Per index what was applied first. */
  private readonly committed: string[] = [];
  /** "index:term" of entries whose proposer was told that they are in. */
  private readonly proposed = new Map<string, boolean>();
  /** The highest index whose writer has heard of success. */
  acknowledged: LogIndex = 0;
  private readonly readFloor = new Map<number, LogIndex>();
  reads = 0;

  onProposed(core: RaftCore, index: LogIndex): void {
    this.proposed.set(`${index}:${core.state.term}`, true);
  }

  onReady(m: Member, out: Ready): void {
    const { state } = m.core;
    if (out.hardState !== null && out.hardState.term < m.disk.hardState.term) say('the term went back', m.id);
    for (const e of out.entries) {
      const before = state.log.termAt(e.index - 1);
      const what = `${before} ${e.kind} ${Buffer.from(e.bytes.subarray(e.start, e.start + e.length)).toString('hex')}`;
      const key = `${e.index}:${e.term}`;
      const known = this.written.get(key);
      if (known === undefined) this.written.set(key, what);
      else if (known !== what) say('S: one entry, two histories', m.id, key, known, what);
    }
  }

  onStep(m: Member): void {
    const { state } = m.core;
    if (state.role === 3) {
      const known = this.leaderOf.get(state.term);
      if (known === undefined) {
        this.leaderOf.set(state.term, m.id);
        this.checkComplete(m);
      } else if (known !== m.id) say('E: two leaders in one term', state.term, known, m.id);
    }
    if (state.applied > state.commit || state.commit > state.log.lastIndex) say('indexes out of order', m.id);
    if (state.applied !== m.applied)
      say('applied index differs from the state machine', m.id, state.applied, m.applied);
  }

  /** Leader Completeness: a leader has everything that was committed before it. */
  private checkComplete(m: Member): void {
    const { log } = m.core.state;
    for (let i = log.baseIndex + 1; i < this.committed.length; i++) {
      const term = this.committed[i]?.split(' ', 1)[0];
      if (term !== undefined && `${log.termAt(i)}` !== term) say('D: a leader without a committed entry', m.id, i);
    }
    if (log.lastIndex + 1 < this.committed.length) say('D: a leader with too short a log', m.id);
  }

  onApply(m: Member, index: LogIndex, entry: Entry | undefined): void {
    if (entry === undefined) say('an entry to apply is nowhere', m.id, index);
    if (index !== m.applied + 1) say('applied out of order', m.id, m.applied, index);
    const { bytes, start, length, term, kind } = entry;
    const what = `${term} ${kind} ${Buffer.from(bytes.subarray(start, start + length)).toString('hex')}`;
    const known = this.committed[index];
    if (known === undefined) this.committed[index] = what;
    else if (known !== what) say('C: a committed entry changed', m.id, index, known, what);
    // Who proposed it and applies it still as the leader of that term tells the client.
    const { state } = m.core;
    if (state.role === 3 && state.term === term && this.proposed.has(`${index}:${term}`)) {
      if (index > this.acknowledged) this.acknowledged = index;
    }
  }

  onInstalled(m: Member, snapshot: SnapshotMeta): void {
    if (snapshot.index < m.applied) say('a snapshot took back what was applied', m.id, m.applied, snapshot.index);
    const known = this.committed[snapshot.index];
    if (known !== undefined && known.split(' ', 1)[0] !== `${snapshot.term}`)
      say('C: a snapshot of something else', m.id);
  }

  onReadAsked(token: number): void {
    this.readFloor.set(token, this.acknowledged);
  }

  onRead(read: ReadState): void {
    if (read.index === 0) return;
    this.reads++;
    const floor = this.readFloor.get(read.token) ?? 0;
    if (read.index < floor) say('R: a read misses an acknowledged write', read, floor);
  }

  get committedCount(): number {
    return this.committed.length;
  }
}

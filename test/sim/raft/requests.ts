/**
 * What a simulated replica owes its clients: writes that gather for an entry, wait for it, or are passed on to the leader; reads
 * that wait for their index. Of one life: whoever is answered by nobody has to find out by itself.
 */
import { BatchWriter } from '../../../engine/log/batch.ts';
import type { LogIndex, Term } from '../../../engine/raft/entry.ts';
import { holdsLease } from '../../../engine/raft/leader.ts';
import { Request } from '../../../engine/request.ts';
import type { SimReplica } from './replica.ts';

/** What came of a request. `again`: it had no effect, and may be sent again. `unknown`: nobody can say. */
export type Outcome =
  | { readonly kind: 'done'; readonly reply: string; readonly index: LogIndex }
  | { readonly kind: 'again' }
  | { readonly kind: 'unknown' };

export type Answer = (outcome: Outcome) => void;

/** A write that waits for its entry. */
interface Owed {
  readonly args: readonly string[];
  readonly answer: Answer;
}

interface Proposal {
  readonly term: Term;
  readonly owed: readonly Owed[];
}

/** A read that waits for its index; 0 until that is known. */
interface Reading {
  readonly args: readonly string[];
  readonly answer: Answer;
  index: LogIndex;
}

export class Requests {
  private readonly replica: SimReplica;
  private staged: Owed[] = [];
  private isSealing = false;
  /** Of the last entry proposed. */
  private lastMs = 0;
  private readonly proposals = new Map<LogIndex, Proposal>();
  private readonly asked = new Map<number, Reading>();
  private readings: Reading[] = [];

  constructor(replica: SimReplica) {
    this.replica = replica;
  }

  // ---------------------------------------------------------------- writes

  /** A write of a client, or of a replica that passes it on. */
  write(args: readonly string[], isForwarded: boolean, answer: Answer): void {
    const { core } = this.replica;
    const { state } = core;
    if (core.isLeader) {
      // Only then has everything before it been applied, and with it the latest time.
      if (state.applied < state.electionIndex || state.electionIndex === 0) answer({ kind: 'again' });
      else this.stage({ args, answer });
    } else if (isForwarded || state.leader === 0) {
      answer({ kind: 'again' });
    } else {
      this.forward(args, answer);
    }
  }

  /** Once: what may have been appended is not sent again. */
  private forward(args: readonly string[], answer: Answer): void {
    const { replica } = this;
    const { world, id } = replica;
    const { leader } = replica.core.state;
    world.tally.add('writes forwarded');
    const reply: Answer = (outcome) => world.network.stream(leader, id, () => replica.input(() => answer(outcome)));
    world.network.stream(id, leader, () => {
      const to = world.replicas.get(leader)!;
      to.input(() => to.requests.write(args, true, reply));
    });
  }

  private stage(owed: Owed): void {
    this.staged.push(owed);
    if (this.isSealing) return;
    this.isSealing = true;
    this.replica.later(this.replica.world.chance.between(0, 2), () => this.seal());
  }

  /** The writes of a turn become one entry. */
  private seal(): void {
    const { staged, replica } = this;
    const { core, world, machine } = replica;
    this.staged = [];
    this.isSealing = false;
    const batch = new BatchWriter(256);
    // Times in the log never go back, whoever leads.
    this.lastMs = Math.max(this.lastMs, machine.nowMs, replica.wallMs);
    for (const { args } of staged) batch.add(request(args), this.lastMs, 0, 1 + world.chance.below(1e6));
    const index = core.propose(batch.u8.slice(0, batch.length), 0, batch.length);
    if (index > 0) this.proposals.set(index, { term: core.state.term, owed: staged });
    else for (const { answer } of staged) answer({ kind: 'again' });
    world.say(() => `${replica.name} proposes ${index}: ${staged.map((owed) => owed.args.join(' ')).join('; ')}`);
    replica.serve();
  }

  /** An entry was applied: answers whoever waits for it. */
  settle(index: LogIndex, term: Term, replies: readonly string[]): void {
    const proposal = this.proposals.get(index);
    if (proposal === undefined) return;
    this.proposals.delete(index);
    if (proposal.term !== term) {
      this.replica.world.tally.add('proposals replaced');
      for (const { answer } of proposal.owed) answer({ kind: 'unknown' });
      return;
    }
    for (const [i, { answer }] of proposal.owed.entries()) answer({ kind: 'done', reply: replies[i], index });
  }

  /** A snapshot has taken the place of the entries up to `index`: nobody here saw their replies. */
  passOver(through: LogIndex): void {
    for (const [index, { owed }] of this.proposals) {
      if (index > through) continue;
      this.proposals.delete(index);
      for (const { answer } of owed) answer({ kind: 'unknown' });
    }
  }

  // ---------------------------------------------------------------- reads

  /** A read that must see everything acknowledged before it. */
  readLinearizable(args: readonly string[], answer: Answer): void {
    const { replica } = this;
    const { world, core } = replica;
    const token = world.nextToken();
    world.watch.onReadAsked(replica, token);
    this.asked.set(token, { args, answer, index: 0 });
    if (core.isLeader && holdsLease(core.state)) world.tally.add('reads under a lease');
    core.readIndex(token);
    replica.serve();
  }

  /** A read that must see everything up to `index`. */
  readAt(args: readonly string[], index: LogIndex, answer: Answer): void {
    this.readings.push({ args, answer, index });
    this.serveReads();
  }

  onReadState(token: number, index: LogIndex): void {
    this.replica.world.watch.onReadState(this.replica, token, index);
    const reading = this.asked.get(token);
    if (reading === undefined) return;
    this.asked.delete(token);
    if (index === 0) {
      reading.answer({ kind: 'again' });
      return;
    }
    reading.index = index;
    this.readings.push(reading);
  }

  /** Answers the reads whose index is applied. */
  serveReads(): void {
    if (this.readings.length === 0) return;
    const { machine } = this.replica;
    const index = machine.appliedIndex;
    const due = this.readings.filter((reading) => reading.index <= index);
    if (due.length === 0) return;
    this.readings = this.readings.filter((reading) => reading.index > index);
    for (const { args, answer } of due) answer({ kind: 'done', reply: machine.read(args), index });
  }
}

function request(args: readonly string[]): Request {
  const made = new Request();
  made.buf = Uint8Array.from(Buffer.from(args.join(''), 'latin1'));
  made.reserveArgs(args.length);
  made.argc = args.length;
  let at = 0;
  for (const [i, arg] of args.entries()) {
    made.off[i] = at;
    made.len[i] = arg.length;
    at += arg.length;
  }
  return made;
}

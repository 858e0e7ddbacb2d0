/**
 * Writes on their way from this node's clients into the group's log, and who is owed their replies. Main thread; leader only.
 *
 * The writes of a turn gather in one batch (engine/log/batch.ts), which becomes one entry at the turn's end. When that entry
 * is applied its commands' replies go to the targets noted here, one per command, in order. A command costs its copy into
 * the batch and three pushes.
 */
import type { Call } from '../../engine/call.ts';
import type { CommandRow } from '../../engine/command.ts';
import { BatchWriter } from '../../engine/log/batch.ts';
import type { RaftCore } from '../../engine/raft/core.ts';
import type { LogIndex, Term } from '../../engine/raft/entry.ts';
import { Request } from '../../engine/request.ts';

/** Who is owed a reply: a session of this node, or a peer that forwarded the request of one of its own. */
export interface ReplyTarget {
  deliver(seq: number, from: Uint8Array, start: number, length: number): void;
  /** A blocking command, the request in the thread's call, has found nothing, and waits so long (0: for ever). */
  block?(row: CommandRow, waitMs: number): void;
  /** Its commands come into the state with this entry; called before their replies are delivered. */
  settled?(index: LogIndex): void;
  /** Nobody is left to take what would come of it, so it had better not be done, where it is not done yet. */
  readonly isAbandoned?: boolean;
}

/** The commands of one entry that this node proposed: target i is owed the reply to command i. */
export interface Proposal {
  index: LogIndex;
  term: Term;
  atMs: number;
  /** Of the entry, and of what its commands copy. */
  bytes: number;
  /** As many more would take what its commands copy. */
  copiedBytes: number;
  /** Of keys that it evicts. */
  evictedBytes: number;
  readonly targets: (ReplyTarget | undefined)[];
  readonly seqs: number[];
  /** The RESP version that each reads. */
  readonly protocols: number[];
}

/** Entries of this node that are not committed, when the next one waits to grow. */
const UNDER_WAY = 2;
/** An entry is sealed before the turn ends when it has grown to this. */
const SEALED_BYTES = 256 * 1024;

export class Proposals {
  /** Gets what was staged and will never be proposed (index 0), or was proposed and overwritten. */
  onGivenUp: (proposal: Proposal) => void = () => {};
  private readonly core: RaftCore;
  private readonly batch = new BatchWriter();
  private open: Proposal = emptyProposal();
  /** Not applied yet, in order of index: [head, length). */
  private waiting: Proposal[] = [];
  private head = 0;
  private waitingBytes = 0;

  constructor(core: RaftCore) {
    this.core = core;
  }

  /** Commands that are staged and in no entry yet. */
  get staged(): number {
    return this.batch.count;
  }

  get isEmpty(): boolean {
    return this.head === this.waiting.length && this.batch.count === 0;
  }

  /** What is staged, or proposed and not applied. */
  get unappliedBytes(): number {
    return this.batch.length + this.open.copiedBytes + this.waitingBytes;
  }

  /** Whether another write may be staged: the core takes what is staged whole, unless there is too much already. */
  get hasRoom(): boolean {
    const { uncommittedBytes, options } = this.core.state;
    return uncommittedBytes + this.batch.length < options.uncommittedBytes;
  }

  /** Adds a write of `target`, at `call`'s time in its database. */
  stage(
    request: Request,
    call: Call,
    seed: number,
    target: ReplyTarget | undefined,
    seq: number,
    protocol: number,
  ): void {
    this.batch.add(request, call.nowMs, call.db, seed);
    this.owe(target, seq, protocol);
    if (this.batch.length >= SEALED_BYTES) this.seal(true);
  }

  /** What is staged next takes as much memory as so many bytes more would. */
  willCopy(bytes: number): void {
    this.open.copiedBytes += bytes;
  }

  /** Adds UNLINK of a key that the leader evicts. */
  stageUnlink(nowMs: number, db: number, from: Uint8Array, start: number, length: number, bytes: number): void {
    this.batch.addUnlink(nowMs, db, from, start, length);
    this.open.evictedBytes += bytes;
    this.owe(undefined, 0, 2);
  }

  /** Adds an entry of the server's own (state.ts). */
  stageWords(nowMs: number, words: readonly string[], target: ReplyTarget | undefined): void {
    this.batch.add(requestOf(words), nowMs, 0, 0);
    this.owe(target, 0, 2);
  }

  private owe(target: ReplyTarget | undefined, seq: number, protocol: number): void {
    this.open.targets.push(target);
    this.open.seqs.push(seq);
    this.open.protocols.push(protocol);
  }

  /**
   * What was staged becomes an entry, at the end of a turn; `isFull`: at once. While entries are under way it gathers until one of
   * them is committed: larger entries cost less, and nobody waits longer than for what is under way anyway. What was staged under a
   * leadership that is over was never proposed: it is given up by `onGivenUp`.
   */
  seal(isFull = false): void {
    const { batch, open } = this;
    if (batch.count === 0) return;
    if (!this.core.isLeader) {
      this.open = emptyProposal();
      batch.clear();
      this.onGivenUp(open);
      return;
    }
    if (this.core.state.transferee !== 0) return;
    if (!isFull && this.isUnderWay) return;
    const bytes = batch.u8.slice(0, batch.length);
    const index = this.core.propose(bytes, 0, bytes.length);
    // Too much waits for a majority.
    if (index < 0) return;
    open.index = index;
    open.term = this.core.state.term;
    open.atMs = performance.now();
    open.bytes = bytes.length + open.copiedBytes;
    this.waitingBytes += open.bytes;
    this.waiting.push(open);
    this.open = emptyProposal();
    batch.clear();
  }

  private get isUnderWay(): boolean {
    const at = this.waiting.length - UNDER_WAY;
    return at >= this.head && this.waiting[at].index > this.core.state.commit;
  }

  /** This node leads again, in `term` from the entry `from` on: what it proposed before in that place may live on elsewhere, or not. */
  giveUpOverwritten(from: LogIndex, term: Term): void {
    const { waiting, head } = this;
    const kept = waiting.slice(head).filter((proposal) => proposal.index < from || proposal.term === term);
    const lost = waiting.slice(head).filter((proposal) => !kept.includes(proposal));
    this.waiting = kept;
    this.head = 0;
    for (const proposal of lost) {
      this.waitingBytes -= proposal.bytes;
      this.onGivenUp(proposal);
    }
  }

  /** The proposal that has this index, if it is the next one; it is taken out. */
  take(index: LogIndex): Proposal | undefined {
    const next = this.waiting[this.head];
    if (next === undefined || next.index !== index) return undefined;
    this.drop();
    return next;
  }

  /** The next proposal up to `index`, or made before `beforeMs`: one that will not be applied as it was proposed, or not soon. */
  takeOverdue(index: LogIndex, beforeMs: number): Proposal | undefined {
    const next = this.waiting[this.head];
    if (next === undefined || (next.index > index && next.atMs >= beforeMs)) return undefined;
    this.drop();
    return next;
  }

  private drop(): void {
    this.waitingBytes -= this.waiting[this.head].bytes;
    this.head++;
    if (this.head < 256 && this.head < this.waiting.length) return;
    this.waiting = this.waiting.slice(this.head);
    this.head = 0;
  }
}

function emptyProposal(): Proposal {
  return {
    index: 0,
    term: 0,
    atMs: 0,
    bytes: 0,
    copiedBytes: 0,
    evictedBytes: 0,
    targets: [],
    seqs: [],
    protocols: [],
  };
}

/** A request of these words. */
export function requestOf(words: readonly string[]): Request {
  const request = new Request();
  const parts = words.map((word) => Buffer.from(word));
  request.buf = new Uint8Array(Buffer.concat(parts));
  request.reserveArgs(parts.length);
  request.argc = parts.length;
  for (let i = 0, at = 0; i < parts.length; at += parts[i++].length) {
    request.off[i] = at;
    request.len[i] = parts[i].length;
  }
  return request;
}

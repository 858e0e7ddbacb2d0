/**
 * A snapshot on its way from one simulated replica to another, in pieces that are acknowledged one by one. A piece that gets lost
 * is sent again from where the receiver is; after too many tries, or when the receiver has begun a new life, or a piece was
 * damaged on the way, the sender's core is told that it failed.
 */
import type { LogIndex, ReplicaId } from '../../../engine/raft/entry.ts';
import { Message, SNAPSHOT } from '../../../engine/raft/message.ts';
import type { SimReplica } from './replica.ts';
import { decodeSnapshot } from './snapshotbytes.ts';

const PIECE_BYTES = 200;
const TRIES = 6;
const RESEND_MS = 40;
const DAMAGED_PERCENT = 1;
/** Of pieces: the connection is lost, and the sender hears of it. */
const CUT_PERCENT = 3;

export function sendSnapshot(from: SimReplica, to: ReplicaId, atLeast: LogIndex): void {
  const { newest } = from.storage;
  if (newest === undefined || newest.meta.index < atLeast) {
    throw new Error(`n${from.id} is asked for a snapshot of entry ${atLeast}, and has ${newest?.meta.index}`);
  }
  from.world.tally.add('snapshots sent');
  from.world.say(() => `n${from.id} sends a snapshot of entry ${newest.meta.index} to n${to}`);
  const message = new Message(SNAPSHOT, from.core.state.group, from.id, to, from.core.state.term);
  message.snapshot = newest.meta;
  new Transfer(from, to, message, newest.bytes).sendPiece();
}

class Transfer {
  private readonly from: SimReplica;
  private readonly to: ReplicaId;
  private readonly message: Message;
  private readonly bytes: Uint8Array;
  private readonly senderLife: number;
  private readonly receiverLife: number;
  private readonly received: Uint8Array;
  /** What the receiver has. */
  private receivedBytes = 0;
  /** What the sender knows the receiver to have. */
  private acknowledgedBytes = 0;
  private tries = 0;
  private isOver = false;

  constructor(from: SimReplica, to: ReplicaId, message: Message, bytes: Uint8Array) {
    this.from = from;
    this.to = to;
    this.message = message;
    this.bytes = bytes;
    this.senderLife = from.life;
    this.receiverLife = from.world.replicas.get(to)?.life ?? 0;
    this.received = new Uint8Array(bytes.length);
  }

  private get isStale(): boolean {
    const { from, message } = this;
    return this.isOver || !from.isUp || from.life !== this.senderLife || from.core.state.term !== message.term;
  }

  sendPiece(): void {
    if (this.isStale) return;
    const { from, to, bytes, acknowledgedBytes: at } = this;
    const { world } = from;
    if (this.tries++ > TRIES || (!world.isCalm && world.chance.percent(CUT_PERCENT))) {
      this.end(false);
      return;
    }
    const piece = Uint8Array.from(bytes.subarray(at, at + PIECE_BYTES));
    if (!world.isCalm && world.chance.percent(DAMAGED_PERCENT)) {
      world.tally.add('snapshot pieces damaged');
      piece[world.chance.below(piece.length)] ^= 1 << world.chance.below(8);
    }
    world.network.stream(from.id, to, () => world.replicas.get(to)?.input(() => this.takePiece(at, piece)));
    const { tries } = this;
    world.events.after(RESEND_MS, () => {
      if (this.acknowledgedBytes === at && this.tries === tries) from.input(() => this.sendPiece());
    });
  }

  /** At the receiver. */
  private takePiece(at: number, piece: Uint8Array): void {
    const { from, to, received } = this;
    const { world } = from;
    const receiver = world.replicas.get(to)!;
    if (receiver.life !== this.receiverLife) {
      this.answer(() => this.end(false));
      return;
    }
    if (at === this.receivedBytes) {
      received.set(piece, at);
      this.receivedBytes += piece.length;
      if (this.receivedBytes === received.length) {
        const isWhole = decodeSnapshot(received) !== undefined;
        this.answer(() => this.end(isWhole));
        if (isWhole) receiver.receiveSnapshot(this.message, received);
        return;
      }
    }
    const has = this.receivedBytes;
    this.answer(() => this.goOn(has));
  }

  private answer(then: () => void): void {
    const { from, to } = this;
    from.world.network.stream(to, from.id, () => from.input(then));
  }

  /** At the sender. */
  private goOn(has: number): void {
    if (has <= this.acknowledgedBytes) return;
    this.acknowledgedBytes = has;
    this.tries = 0;
    this.sendPiece();
  }

  private end(arrived: boolean): void {
    if (this.isStale) return;
    this.isOver = true;
    const { from, to, message } = this;
    if (arrived) from.core.snapshotSent(to, message.snapshot!.index);
    else {
      from.world.tally.add('snapshot transfers cut');
      from.core.snapshotFailed(to);
    }
    from.serve();
  }
}

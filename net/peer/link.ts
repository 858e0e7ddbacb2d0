/**
 * One connection to a peer: the handshake on it, its frames, and whether there still is somebody at the other end. Main thread;
 * made by Peers for sockets that are connected. Costs the codec's, and the kernel's copy: a frame of DIRECT_BYTES or more is
 * written from where it was encoded, shorter ones are put together and written at `flush`.
 */
import type net from 'node:net';
import { PeerError } from '../../proto/errors.ts';
import { HANDSHAKE, type Handshake, type PeerMessage, PING } from '../../proto/messages.ts';
import { readShared } from '../onread.ts';
import { FRAME_LIMIT, FrameReader, type FrameWriter, HANDSHAKE_FRAME_LIMIT } from './frame.ts';
import type { Handshaker } from './handshake.ts';

/** How often `tick` is called. */
export const TICK_MS = 100;
/** After so long without a byte from the other side it is asked for one, */
const PING_TICKS = 200 / TICK_MS;
/** and after so long given up. Counted in ticks, so that a process that was stopped first reads what has arrived meanwhile. */
const SILENCE_TICKS = 2000 / TICK_MS;
/** A busy connection is asked too, now and then, to know its round-trip time. */
const MEASURE_TICKS = 1000 / TICK_MS;
const HANDSHAKE_TICKS = 3000 / TICK_MS;
/** As the id of a ping's answer: part of a long message has arrived. */
const MIDWAY = 0;
/** Unsent bytes beyond which the other side counts as one that does not listen. */
export const UNSENT_LIMIT = 32 * 1024 * 1024;
const DIRECT_BYTES = 16 * 1024;
/** Of the box that gathers short frames. */
const BOX_BYTES = 64 * 1024;
/** What all links of the thread read into. */
const SHARED = new Uint8Array(64 * 1024);

/** What `onClosed` says when nothing was wrong here. */
export const CLOSED_BY_PEER = 'closed by the other side';

export interface LinkHandlers {
  /** The handshake is done: `link.peer` is known. */
  onProven(link: Link): void;
  onMessage(link: Link, message: PeerMessage): void;
  /** All messages of a read were handed over. */
  onTurn(link: Link): void;
  /** The other side lives, though it cannot say so: part of a long message has come from it, or of ours has come to it. */
  onAlive(link: Link): void;
  /** It was clogged and is no more. */
  onDrained(link: Link): void;
  /** Once; `text` says why, for the log. */
  onClosed(link: Link, text: string): void;
}

export class Link {
  readonly isOpener: boolean;
  /** Who is at the other end; undefined before it is proven. */
  peer: Handshake | undefined = undefined;
  /** By performance.now: when the handshake was done. */
  provenAtMs = 0;
  sentBytes = 0;
  receivedBytes = 0;
  /** Of the last ping that was answered; -1 before the first. */
  rttMs = -1;
  /** When the last bytes came, by performance.now. */
  heardAtMs = performance.now();
  isOpen = true;
  /** Messages to it are dropped until it has taken what is under way. */
  isClogged = false;
  private readonly socket: net.Socket;
  private readonly handshaker: Handshaker;
  private readonly writer: FrameWriter;
  private readonly handlers: LinkHandlers;
  private readonly reader = new FrameReader(HANDSHAKE_FRAME_LIMIT);
  /** Short frames that are not written yet: box[0, boxed). */
  private box = new Uint8Array(BOX_BYTES);
  private boxed = 0;
  private age = 0;
  private silentTicks = 0;
  /** Part of a long message has come since the last tick. */
  private hasPart = false;
  private pings = 0;
  /** When the ping under way was sent; 0 when there is none. */
  private pingedAtMs = 0;

  /** `writer` may be shared by all links of the thread. */
  constructor(socket: net.Socket, handshaker: Handshaker, writer: FrameWriter, handlers: LinkHandlers) {
    this.socket = socket;
    this.isOpener = handshaker.role === 'opener';
    this.handshaker = handshaker;
    this.writer = writer;
    this.handlers = handlers;
    readShared(socket, SHARED, (bytes, length) => this.receive(bytes, length));
    socket.on('drain', () => this.drained());
    socket.on('error', (error) => this.close(error.message));
    socket.on('end', () => this.close(CLOSED_BY_PEER));
    socket.on('close', () => this.close(CLOSED_BY_PEER));
    if (this.isOpener) {
      this.send(handshaker.greeting);
      this.flush();
    }
  }

  get remote(): string {
    return `${this.socket.remoteAddress ?? '?'}:${this.socket.remotePort ?? 0}`;
  }

  /** What the kernel has not taken. */
  get pendingBytes(): number {
    return this.boxed + this.socket.writableLength;
  }

  /** Takes a message, all of it: its payloads may change after. It leaves by the next `flush`. */
  send(message: PeerMessage): void {
    if (!this.isOpen) return;
    const frame = this.writer.write(message);
    this.sentBytes += frame.length;
    if (frame.length >= DIRECT_BYTES) {
      this.flush();
      this.writeFrame(frame);
      return;
    }
    if (this.boxed + frame.length > BOX_BYTES) this.flush();
    this.box.set(frame, this.boxed);
    this.boxed += frame.length;
  }

  flush(): void {
    if (this.boxed === 0 || !this.isOpen) return;
    const bytes = this.box.subarray(0, this.boxed);
    this.boxed = 0;
    if (this.isWaiting) this.write(bytes.slice());
    else if (!this.write(bytes)) this.box = new Uint8Array(BOX_BYTES);
  }

  private writeFrame(frame: Uint8Array): void {
    if (this.isWaiting) this.write(frame.slice());
    else if (!this.write(frame)) this.writer.giveAway();
  }

  /** Whether the kernel has not taken all that was written: what is written now stays where it is for some time. */
  private get isWaiting(): boolean {
    return this.socket.writableLength > 0;
  }

  /** Whether the kernel has taken all of it; otherwise the bytes belong to the socket. */
  private write(bytes: Uint8Array): boolean {
    this.socket.write(bytes);
    return this.socket.writableLength === 0;
  }

  private drained(): void {
    if (!this.isClogged) return;
    this.isClogged = false;
    if (this.isOpen) this.handlers.onDrained(this);
  }

  private receive(bytes: Uint8Array, length: number): void {
    if (!this.isOpen) return;
    this.receivedBytes += length;
    this.heardAtMs = performance.now();
    this.silentTicks = 0;
    const { reader } = this;
    reader.push(bytes, 0, length);
    for (let message = this.next(); message !== undefined; message = this.next()) {
      if (this.peer === undefined || message.type === HANDSHAKE) this.takeHandshake(message);
      else if (message.type === PING) this.takePing(message.id, message.answer);
      else this.handlers.onMessage(this, message);
    }
    if (this.peer === undefined) return;
    if (reader.isMidway) {
      this.hasPart = true;
      this.handlers.onAlive(this);
    }
    this.handlers.onTurn(this);
    this.flush();
  }

  /** The next message of the read; undefined also when the connection is of no more use. */
  private next(): PeerMessage | undefined {
    if (!this.isOpen) return undefined;
    try {
      return this.reader.next();
    } catch (error) {
      this.fail(error);
      return undefined;
    }
  }

  private takeHandshake(message: PeerMessage): void {
    if (this.peer !== undefined) {
      this.close('peer: a second handshake');
      return;
    }
    try {
      const answer = this.handshaker.take(message);
      if (answer !== undefined) this.send(answer);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.flush();
    this.peer = this.handshaker.peer;
    if (this.peer === undefined) return;
    this.reader.limit = FRAME_LIMIT;
    this.provenAtMs = performance.now();
    this.handlers.onProven(this);
  }

  private takePing(id: number, isAnswer: boolean): void {
    if (!isAnswer) {
      this.send({ type: PING, id, answer: true });
    } else if (id === MIDWAY) {
      this.handlers.onAlive(this);
    } else if (id === this.pings && this.pingedAtMs > 0) {
      this.rttMs = performance.now() - this.pingedAtMs;
      this.pingedAtMs = 0;
    }
  }

  /** Time passes. */
  tick(): void {
    this.age++;
    this.silentTicks++;
    if (this.peer === undefined) {
      if (this.age > HANDSHAKE_TICKS) this.close('peer: no handshake in time');
    } else if (this.silentTicks >= SILENCE_TICKS) {
      this.close(`peer: nothing heard for ${SILENCE_TICKS * TICK_MS} ms`);
    } else if (this.hasPart) {
      this.hasPart = false;
      if (this.isWaiting) return;
      this.send({ type: PING, id: MIDWAY, answer: true });
      this.flush();
    } else if (
      this.pingedAtMs === 0 &&
      !this.isWaiting &&
      (this.silentTicks >= PING_TICKS || this.age % MEASURE_TICKS === 0)
    ) {
      this.pingedAtMs = performance.now();
      this.send({ type: PING, id: ++this.pings, answer: false });
      this.flush();
    }
  }

  private fail(error: unknown): void {
    if (!(error instanceof PeerError)) throw error;
    this.close(error.message);
  }

  /** Ends it at once; `text` goes to `onClosed`. */
  close(text: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.socket.destroy();
    this.handlers.onClosed(this, text);
  }

  /** Ends it when all that was sent before has left. */
  finish(text: string): void {
    if (!this.isOpen) return;
    this.flush();
    this.isOpen = false;
    this.socket.destroySoon();
    this.handlers.onClosed(this, text);
  }
}

/**
 * Frames: how messages follow each other in the bytes of a connection between peers. Main thread; one writer and one reader
 * per connection. Costs the checksum, about 1 ns per byte, and the codec's (proto/encoder.ts, proto/decoder.ts).
 *
 * ```
 * frame, little-endian, offsets in bytes
 * +0 length u32      of the body
 * +4 crc u32         CRC-32C of the body, begun with the length
 * +8 body            a FlatBuffer with a Frame of proto/peer.fbs as its root
 * ```
 *
 * An example, a Ping with id 1 that asks for an answer:
 * ```
 * 28 00 00 00  a body of 40 bytes
 * d2 d1 96 95  crc: 9596d1d2
 * 0c 00 00 00  0: the root, a Frame, lies at 12
 * 08 00 0a 00 09 00 04 00  4: its vtable: 8 bytes, 10 of the table; body_type is 9 into it, body 4
 * 08 00 00 00  12: the Frame: its vtable is 8 before
 * 0c 00 00 00  16: body lies at 16 + 12
 * 00 0f        20: padding, and body_type: a Ping
 * 06 00 0c 00 04 00  22: the Ping's vtable: 6 bytes, so no `answer`; 12 of the table; id is 4 into it
 * 06 00 00 00  28: the Ping: its vtable is 6 before
 * 00 00 00 00 00 00 f0 3f  32: id: 1, as a double
 * ```
 */
import { crc32c } from '../../engine/log/crc32c.ts';
import { Decoder } from '../../proto/decoder.ts';
import { Encoder } from '../../proto/encoder.ts';
import { PeerError } from '../../proto/errors.ts';
import type { PeerMessage } from '../../proto/messages.ts';

export const FRAME_HEADER_BYTES = 8;
/** Of a body. Whoever makes messages keeps below; a peer that announces more is not listened to. */
export const FRAME_LIMIT = 64 * 1024 * 1024;
/** Of a body from somebody who has not proved to be a peer. */
export const HANDSHAKE_FRAME_LIMIT = 16 * 1024;

export class FrameWriter {
  private encoder = new Encoder();

  /** A whole frame; its bytes are overwritten by the next call, unless they are given away. */
  write(message: PeerMessage): Uint8Array {
    const { encoder } = this;
    encoder.encode(message, FRAME_HEADER_BYTES);
    const { bytes, start, length } = encoder;
    if (length > FRAME_LIMIT) throw new Error(`a message of ${length} bytes is longer than a frame may be`);
    const at = start - FRAME_HEADER_BYTES;
    writeU32(bytes, at, length);
    writeU32(bytes, at + 4, crc32c(bytes, start, length, length));
    return bytes.subarray(at, start + length);
  }

  /** The memory of the last frame is somebody else's from now on. */
  giveAway(): void {
    this.encoder = new Encoder();
  }
}

/**
 * Takes the bytes of a connection as they come, and gives the messages in them. What is wrong is thrown as a PeerError, after
 * which the connection is of no more use.
 *
 * A message has its payloads in memory of its own, as long as they are: the bytes of the connection may be overwritten when all their
 * messages are read. A frame that arrived in pieces is that memory.
 */
export class FrameReader {
  /** Longest body taken. */
  limit: number;
  private readonly decoder = new Decoder();
  /** What was given and is not read yet: chunk[at, end). */
  private chunk: Uint8Array = NOTHING;
  private at = 0;
  private end = 0;
  /** The beginning of a frame that is not complete: whole[0, have). Empty while there is none. */
  private whole: Uint8Array = NOTHING;
  private have = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Takes bytes[start, end). All messages of the bytes before must have been read. */
  push(bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (this.at !== this.end) throw new Error('bytes are pushed before the last ones are read');
    this.chunk = bytes;
    this.at = start;
    this.end = end;
  }

  /** The next message, or undefined when the rest has not arrived yet. */
  next(): PeerMessage | undefined {
    if (this.at === this.end) {
      // Let go of: it may be long until there is more.
      this.chunk = NOTHING;
      this.at = this.end = 0;
      return undefined;
    }
    if (this.have > 0) return this.completed();
    const { chunk, at, end } = this;
    if (end - at < FRAME_HEADER_BYTES) return this.begin(FRAME_HEADER_BYTES);
    const length = this.bodyBytes(chunk, at);
    if (end - at < FRAME_HEADER_BYTES + length) return this.begin(FRAME_HEADER_BYTES + length);
    this.at = at + FRAME_HEADER_BYTES + length;
    return this.message(chunk, at, length, false);
  }

  /** Whether the beginning of a message has arrived whose rest has not. */
  get isMidway(): boolean {
    return this.have > 0;
  }

  /** Keeps the rest of the chunk as the beginning of a frame of at least `wanted` bytes. */
  private begin(wanted: number): undefined {
    this.fill(wanted);
  }

  /** Goes on with the frame of which a part has arrived before. */
  private completed(): PeerMessage | undefined {
    if (this.have < FRAME_HEADER_BYTES && !this.fill(FRAME_HEADER_BYTES)) return undefined;
    const length = this.bodyBytes(this.whole, 0);
    if (!this.fill(FRAME_HEADER_BYTES + length)) return undefined;
    const frame = this.whole;
    this.whole = NOTHING;
    this.have = 0;
    return this.message(frame, 0, length, true);
  }

  /** Takes from the chunk until there are `wanted` bytes of the frame. Whether there are. */
  private fill(wanted: number): boolean {
    const count = Math.min(wanted - this.have, this.end - this.at);
    if (this.whole.length < this.have + count) this.grow(wanted, this.have + count);
    this.whole.set(this.chunk.subarray(this.at, this.at + count), this.have);
    this.have += count;
    this.at += count;
    return this.have === wanted;
  }

  /** Memory for `wanted` bytes at most; where that is much, no more than twice what has arrived: a length alone costs its sender nothing. */
  private grow(wanted: number, arrived: number): void {
    const size = Math.min(wanted, Math.max(2 * arrived, Math.min(this.limit, READY_BYTES)));
    const larger = new Uint8Array(size);
    larger.set(this.whole.subarray(0, this.have));
    this.whole = larger;
  }

  private bodyBytes(bytes: Uint8Array, at: number): number {
    const length = readU32(bytes, at);
    if (length > this.limit) {
      throw new PeerError('TOO_LARGE', `peer: a frame of ${length} bytes, where ${this.limit} are allowed`);
    }
    return length;
  }

  private message(bytes: Uint8Array, at: number, length: number, isOwn: boolean): PeerMessage {
    const start = at + FRAME_HEADER_BYTES;
    if (crc32c(bytes, start, length, length) !== readU32(bytes, at + 4)) {
      throw new PeerError('CHECKSUM', `peer: a frame of ${length} bytes has another checksum than it says`);
    }
    return this.decoder.decode(bytes, start, length, isOwn);
  }
}

const NOTHING = new Uint8Array(0);
/** What a frame in pieces gets at once: with it, all that are usual are put together without a second copy. */
const READY_BYTES = 512 * 1024;

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

import { describe, expect, it } from 'vitest';
import {
  FRAME_HEADER_BYTES,
  FRAME_LIMIT,
  FrameReader,
  FrameWriter,
  HANDSHAKE_FRAME_LIMIT,
} from '../../net/peer/frame.ts';
import { PeerError } from '../../proto/errors.ts';
import { type Forward, type PeerMessage, PING } from '../../proto/messages.ts';
import { MESSAGES, plain } from '../support/proto-messages.ts';
import { seeded } from '../support/seeded.ts';

const EXAMPLE =
  '28000000 d2d19695 0c000000 08000a0009000400 08000000 0c000000 000f 06000c000400 06000000 000000000000f03f';

const messages = Object.values(MESSAGES);
const writer = new FrameWriter();
const stream = Buffer.concat(messages.map((message) => writer.write(message).slice()));

function drain(reader: FrameReader): unknown[] {
  const all: unknown[] = [];
  for (let message: PeerMessage | undefined; (message = reader.next()) !== undefined; ) all.push(plain(message));
  return all;
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof PeerError) return error.code;
    throw error;
  }
  return 'none';
}

it('is laid out as drawn', () => {
  const frame = writer.write({ type: PING, id: 1, answer: false });
  expect(Buffer.from(frame).toString('hex')).toBe(EXAMPLE.replaceAll(' ', ''));
});

describe('a stream of frames', () => {
  it('in one piece, in memory that is overwritten then', () => {
    const reader = new FrameReader(FRAME_LIMIT);
    const memory = Uint8Array.from(stream);
    reader.push(memory);
    const got: PeerMessage[] = [];
    for (let message: PeerMessage | undefined; (message = reader.next()) !== undefined; ) got.push(message);
    memory.fill(0xaa);
    expect(got.map(plain)).toEqual(messages.map(plain));
  });

  it('byte by byte, each in the same memory', () => {
    const reader = new FrameReader(FRAME_LIMIT);
    const memory = new Uint8Array(3);
    const all: unknown[] = [];
    for (const byte of stream) {
      memory[1] = byte;
      reader.push(memory, 1, 2);
      all.push(...drain(reader));
    }
    expect(all).toEqual(messages.map(plain));
  });

  it('in pieces of any size', () => {
    const random = seeded(1);
    for (let round = 0; round < 100; round++) {
      const reader = new FrameReader(FRAME_LIMIT);
      const all: unknown[] = [];
      for (let at = 0; at < stream.length; ) {
        const end = Math.min(stream.length, at + random.below(round < 50 ? 20 : 500));
        reader.push(Uint8Array.from(stream.subarray(at, end)));
        all.push(...drain(reader));
        at = end;
      }
      expect(all).toEqual(messages.map(plain));
    }
  });

  it('with a long frame in pieces', () => {
    const request = new Uint8Array(1_000_000).map((_, i) => i * 7);
    const message: Forward = { ...(MESSAGES['Forward'] as Forward), request };
    const frame = writer.write(message).slice();
    const reader = new FrameReader(FRAME_LIMIT);
    const all: PeerMessage[] = [];
    for (let at = 0; at < frame.length; at += 65_536) {
      reader.push(frame.subarray(at, at + 65_536));
      for (let each: PeerMessage | undefined; (each = reader.next()) !== undefined; ) all.push(each);
    }
    expect(all.length).toBe(1);
    expect(Buffer.compare((all[0] as Forward).request, request)).toBe(0);
  });

  it('is read before more of it is taken', () => {
    const reader = new FrameReader(FRAME_LIMIT);
    reader.push(stream);
    expect(() => reader.push(stream)).toThrow('before the last ones are read');
  });
});

describe('what is no frame', () => {
  it('any bit changed is found', () => {
    const frame = writer.write(MESSAGES['Append']).slice();
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const bad = Buffer.concat([frame, frame]);
      bad[bit >> 3] ^= 1 << (bit & 7);
      const reader = new FrameReader(FRAME_LIMIT);
      reader.push(bad);
      let first: PeerMessage | undefined;
      const code = codeOf(() => {
        first = reader.next();
      });
      // A larger length may also mean that more is waited for.
      expect(first === undefined && (code !== 'none' || bit < 32), `bit ${bit}: ${code}`).toBe(true);
    }
  });

  it('a length above the limit is refused before anything is kept for it', () => {
    const header = new Uint8Array(FRAME_HEADER_BYTES);
    new DataView(header.buffer).setUint32(0, HANDSHAKE_FRAME_LIMIT + 1, true);
    const whole = new FrameReader(HANDSHAKE_FRAME_LIMIT);
    whole.push(header);
    expect(codeOf(() => whole.next())).toBe('TOO_LARGE');
    const parts = new FrameReader(HANDSHAKE_FRAME_LIMIT);
    parts.push(header.subarray(0, 5));
    expect(parts.next()).toBe(undefined);
    parts.push(header.subarray(5));
    expect(codeOf(() => parts.next())).toBe('TOO_LARGE');
  });

  it('nothing in a frame, zeros, noise', () => {
    const random = seeded(3);
    for (let round = 0; round < 2000; round++) {
      const noise = Uint8Array.from({ length: 40 }, () => (round === 0 ? 0 : random.below(round < 1000 ? 3 : 256)));
      const reader = new FrameReader(FRAME_LIMIT);
      reader.push(noise);
      const code = codeOf(() => expect(reader.next()).toBe(undefined));
      if (round === 0) expect(code).toBe('MALFORMED');
    }
  });

  it('a message longer than a frame is our own mistake', () => {
    const request = new Uint8Array(FRAME_LIMIT);
    expect(() => writer.write({ ...(MESSAGES['Forward'] as Forward), request })).toThrow('longer than a frame');
  });
});

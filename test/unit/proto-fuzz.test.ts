import { describe, expect, it } from 'vitest';
import type { Random } from '../../engine/random.ts';
import { Decoder } from '../../proto/decoder.ts';
import { Encoder } from '../../proto/encoder.ts';
import { PeerError } from '../../proto/errors.ts';
import { type Append, type Entry, JOIN_REPLY, type PeerMessage, PING } from '../../proto/messages.ts';
import { MESSAGES } from '../support/proto-messages.ts';
import { seeded } from '../support/seeded.ts';

const decoder = new Decoder();
const encoder = new Encoder();

/** What any 16 or 32 bits may be that is at some limit. */
const LIMITS = [
  0, 1, 3, 4, 0x7f, 0xff, 0x7ffe, 0x7fff, 0x8000, 0xfffe, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff,
];

function encoded(message: PeerMessage): Uint8Array {
  encoder.encode(message, 0);
  return encoder.bytes.slice(encoder.start, encoder.start + encoder.length);
}

/** `body` in the middle of other memory, which reports whoever reads any of its bytes. */
function guarded(body: Uint8Array, start: number): Uint8Array {
  const memory = new Uint8Array(body.length + 2 * start).fill(0xa5);
  memory.set(body, start);
  const end = start + body.length;
  return new Proxy(memory, {
    get(target, property) {
      if (typeof property === 'string' && /^-?\d/.test(property)) {
        if (!(Number(property) >= start && Number(property) < end)) throw new Error(`read at ${property}`);
      }
      const value = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Decodes `body`, and fails on anything but a message or a PeerError, or when any other byte was read or given out. */
function attempt(body: Uint8Array): 'refused' | 'decoded' {
  const start = 64;
  const memory = guarded(body, start);
  try {
    decoder.decode(memory, start, body.length);
    const message = decoder.decode(memory, start, body.length, true);
    for (const [from, length] of payloads(message)) {
      if (from < start || from + length > start + body.length) throw new Error(`payload at ${from} + ${length}`);
    }
    return 'decoded';
  } catch (error) {
    if (error instanceof PeerError) return 'refused';
    throw new Error(`${error} of ${Buffer.from(body).toString('hex')}`, { cause: error });
  }
}

function payloads(message: PeerMessage): [number, number][] {
  const entries =
    'entries' in message ? message.entries.map(({ start, length }: Entry): [number, number] => [start, length]) : [];
  const views = Object.values(message).filter((value): value is Uint8Array => value instanceof Uint8Array);
  return [...entries, ...views.map(({ byteOffset, length }): [number, number] => [byteOffset, length])];
}

function damage(body: Uint8Array, random: Random): Uint8Array {
  const bad = body.slice();
  const view = new DataView(bad.buffer);
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(bad.length - 4);
    const kind = random.below(4);
    if (kind === 0) bad[at] ^= 1 << random.below(8);
    else if (kind === 1) bad[at] = random.below(256);
    else if (kind === 2) view.setUint16(at & ~1, LIMITS[random.below(LIMITS.length)] & 0xffff, true);
    else view.setUint32(at & ~3, LIMITS[random.below(LIMITS.length)], true);
  }
  return random.below(8) === 0 ? bad.subarray(0, 1 + random.below(bad.length)) : bad;
}

describe.each(Object.entries(MESSAGES))('%s', (_, message) => {
  it('is refused when anything is missing', () => {
    const body = encoded(message);
    for (let length = 0; length < body.length; length++) {
      const result = attempt(body.subarray(0, length));
      // Trailing bytes may be padding or the end of a string, which nobody reads.
      if (length < body.length - 8) expect(result, `${length} of ${body.length}`).toBe('refused');
    }
    expect(attempt(body)).toBe('decoded');
  });

  it('is read within its bounds or refused, whatever bits are changed', () => {
    const body = encoded(message);
    for (let bit = 0; bit < 8 * body.length; bit++) {
      const bad = body.slice();
      bad[bit >> 3] ^= 1 << (bit & 7);
      attempt(bad);
    }
    const random = seeded(1);
    let refused = 0;
    for (let round = 0; round < 500; round++) if (attempt(damage(body, random)) === 'refused') refused++;
    expect(refused).toBeGreaterThan(50);
  });
});

it('random bytes are read within their bounds or refused', () => {
  const random = seeded(2);
  for (let round = 0; round < 2000; round++) {
    // Small numbers, so that offsets lead somewhere inside.
    const largest = random.below(2) === 0 ? 256 : 32;
    attempt(Uint8Array.from({ length: random.below(120) }, () => random.below(random.below(3) === 0 ? 1 : largest)));
  }
});

describe('what only the verifier sees', () => {
  function code(body: Uint8Array): string {
    try {
      decoder.decode(body, 0, body.length);
      return 'none';
    } catch (error) {
      if (error instanceof PeerError) return error.code;
      throw error;
    }
  }

  it('a field whose offset is negative when taken as signed', () => {
    // The Ping of net/peer/frame.ts: the offset of its id is at 26, the size of its table at 24.
    const body = encoded({ type: PING, id: 1, answer: false });
    const view = new DataView(body.buffer);
    view.setUint16(26, 0x8000, true);
    view.setUint16(24, 0xffff, true);
    const large = new Uint8Array(100_000);
    large.set(body);
    expect(code(large)).toBe('MALFORMED');
  });

  /** A Ping with all its fields behind other bytes, with u16 numbers of its vtable changed; see net/peer/frame.ts. */
  function withVtable(changes: Record<number, number>): Uint8Array {
    const body = new Uint8Array(100_000);
    body.set(encoded({ type: PING, id: 1, answer: true }));
    const view = new DataView(body.buffer);
    expect([24, 26, 28, 30].map((at) => view.getUint16(at, true))).toEqual([8, 16, 8, 7]);
    for (const [at, value] of Object.entries(changes)) view.setUint16(Number(at), value, true);
    return body;
  }

  it('a vtable of an impossible size', () => {
    expect(code(withVtable({}))).toBe('none');
    for (const size of [0, 2, 3, 5, 7, 0x8000, 0x8008, 0xfffe])
      expect(code(withVtable({ 24: size }))).toBe('MALFORMED');
  });

  it('a table of an impossible size', () => {
    for (const size of [0, 3, 0x8000, 0xffff]) expect(code(withVtable({ 26: size }))).toBe('MALFORMED');
  });

  it("a field in the place of the table's own offset", () => {
    for (const inside of [1, 2, 3]) expect(code(withVtable({ 30: inside }))).toBe('MALFORMED');
  });

  it('a message of a kind that is not known', () => {
    const body = encoded({ type: PING, id: 1, answer: false });
    expect(body[21]).toBe(PING);
    body[21] = JOIN_REPLY + 1;
    expect(code(body)).toBe('UNKNOWN_MESSAGE');
    body[21] = 0;
    expect(code(body)).toBe('MALFORMED');
  });

  it('a small frame that unfolds into a large message', () => {
    const entry = { index: 1, term: 1, kind: 0, bytes: new Uint8Array(1000), start: 0 };
    const entries = Array.from({ length: 50 }, (_, i) => ({ ...entry, length: i === 0 ? 1000 : 1 }));
    const body = encoded({ ...(MESSAGES['Append'] as Append), entries });
    expect(code(body)).toBe('none');
    // The vector of entries is found by its count; then all its offsets lead to the long entry.
    const view = new DataView(body.buffer);
    let vector = 0;
    while (view.getUint32(vector, true) !== 50) vector += 4;
    const long = vector + 4 + view.getUint32(vector + 4, true);
    for (let i = 0; i < 50; i++) view.setUint32(vector + 4 + 4 * i, long - (vector + 4 + 4 * i), true);
    expect(code(body)).toBe('MALFORMED');
  });
});

import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Decoder } from '../../proto/decoder.ts';
import { Encoder } from '../../proto/encoder.ts';
import { generate } from '../../proto/generate.ts';
import { Body } from '../../proto/generated/peer/body.ts';
import {
  type Append,
  type AppendReply,
  type Forward,
  HEARTBEAT,
  NONCE_BYTES,
  type PeerMessage,
  type SnapshotChunk,
} from '../../proto/messages.ts';
import { handshakeProof, isProof } from '../../proto/proof.ts';
import { bytesOf, HELLO, MESSAGES, plain } from '../support/proto-messages.ts';

const proto = join(import.meta.dirname, '../../proto');

it('the generated code is that of the schema', async () => {
  const expected = await generate(readFileSync(join(proto, 'peer.fbs'), 'utf8'));
  const names = readdirSync(join(proto, 'generated'), { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith('.ts'));
  expect(files.sort()).toEqual([...expected.keys()].sort());
  for (const [name, text] of expected) {
    expect(readFileSync(join(proto, 'generated', name), 'utf8'), `${name}: run npm run proto`).toBe(text);
  }
});

describe('messages', () => {
  const encoder = new Encoder();
  const decoder = new Decoder();

  it.each(Object.entries(MESSAGES))('%s arrives as it was sent', (_, message) => {
    encoder.encode(message, 0);
    expect(plain(decoder.decode(encoder.bytes, encoder.start, encoder.length))).toEqual(plain(message));
  });

  it('of every kind are tried here', () => {
    const kinds = new Set(Object.values(MESSAGES).map(({ type }) => type));
    expect([...kinds].sort((a, b) => a - b)).toEqual(Object.values(Body).filter((type) => type !== Body.NONE));
  });

  it('leave the room that was asked for', () => {
    for (const room of [0, 8, 1000, 100_000]) {
      const message: Forward = { ...(MESSAGES['Forward'] as Forward), request: new Uint8Array(65_000) };
      const fresh = new Encoder();
      fresh.encode(message, room);
      expect(fresh.start).toBeGreaterThanOrEqual(room);
      fresh.bytes.fill(0xff, fresh.start - room, fresh.start);
      expect(plain(decoder.decode(fresh.bytes, fresh.start, fresh.length))).toEqual(plain(message));
    }
  });

  it('leave their payloads in bytes that are their own', () => {
    const inside = (bytes: Uint8Array): boolean =>
      bytes.buffer === encoder.bytes.buffer && bytes.byteOffset >= encoder.start + encoder.bytes.byteOffset;
    encoder.encode(MESSAGES['Append'], 0);
    const { entries } = decoder.decode(encoder.bytes, encoder.start, encoder.length, true) as Append;
    expect(entries.every(({ bytes }) => bytes === encoder.bytes)).toBe(true);
    encoder.encode(MESSAGES['SnapshotChunk'], 0);
    const chunk = decoder.decode(encoder.bytes, encoder.start, encoder.length, true) as SnapshotChunk;
    expect(inside(chunk.data) && inside(chunk.configuration)).toBe(true);
  });

  it('may be long, and short again after', () => {
    for (const size of [10, 5_000_000, 10, 3_000_000, 6_000_000, 100]) {
      const message = { ...(MESSAGES['SnapshotChunk'] as SnapshotChunk), data: new Uint8Array(size).fill(size & 255) };
      encoder.encode(message, 8);
      const decoded = decoder.decode(encoder.bytes, encoder.start, encoder.length) as SnapshotChunk;
      expect(Buffer.compare(decoded.data, message.data)).toBe(0);
    }
    encoder.encode(MESSAGES['Ping'], 0);
    expect(encoder.bytes.length).toBeLessThan(5_000_000);
  });

  it.each([
    ['nonce', { nonce: new Uint8Array(NONCE_BYTES - 1) }],
    ['proof', { proof: new Uint8Array(1) }],
    ['name', { nodeName: 'x'.repeat(256) }],
  ])('a handshake with a wrong %s is refused', (_, wrong) => {
    encoder.encode({ ...HELLO, ...wrong }, 0);
    const decode = (): unknown => decoder.decode(encoder.bytes, encoder.start, encoder.length);
    expect(decode).toThrow(expect.objectContaining({ name: 'PeerError', code: 'MALFORMED' }));
  });

  it.each([-1, -0, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('%d is no index', (index) => {
    const beat = { group: 1, from: 1, to: 1, term: 1, commit: 1, round: index };
    const wrong: PeerMessage[] = [{ type: HEARTBEAT, beats: [beat, beat] }];
    // In a table -0 is not written, being equal to what is read then: 0.
    if (!Object.is(index, -0)) wrong.push({ ...(MESSAGES['AppendReply'] as AppendReply), index });
    for (const message of wrong) {
      encoder.encode(message, 0);
      const decode = (): unknown => decoder.decode(encoder.bytes, encoder.start, encoder.length);
      expect(decode).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
    }
  });

  it('there are no indexes behind the last one', () => {
    encoder.encode({ ...(MESSAGES['Append'] as Append), prevIndex: Number.MAX_SAFE_INTEGER - 2 }, 0);
    const decode = (): unknown => decoder.decode(encoder.bytes, encoder.start, encoder.length);
    expect(decode).toThrow(expect.objectContaining({ code: 'MALFORMED' }));
  });
});

describe('proofs', () => {
  const opener = { ...HELLO, nodeId: 'a', nonce: new Uint8Array(32).fill(1) };
  const acceptor = { ...HELLO, nodeId: 'b', nonce: new Uint8Array(32).fill(2) };
  const proof = handshakeProof('secret', 'opener', opener, acceptor);

  it('hold for one secret, role, and pair of handshakes', () => {
    expect(isProof(proof, 'secret', 'opener', opener, acceptor)).toBe(true);
    expect(isProof(proof, 'Secret', 'opener', opener, acceptor)).toBe(false);
    expect(isProof(proof, 'secret', 'acceptor', opener, acceptor)).toBe(false);
    expect(isProof(proof, 'secret', 'opener', acceptor, opener)).toBe(false);
    expect(isProof(proof, 'secret', 'opener', { ...opener, nonce: acceptor.nonce }, acceptor)).toBe(false);
    expect(isProof(proof, 'secret', 'opener', { ...opener, clusterId: 'other' }, acceptor)).toBe(false);
    expect(isProof(proof, 'secret', 'opener', opener, { ...acceptor, nodeName: 'other' })).toBe(false);
    expect(isProof(proof, 'secret', 'opener', { ...opener, replicas: [] }, acceptor)).toBe(false);
    expect(isProof(proof.subarray(1), 'secret', 'opener', opener, acceptor)).toBe(false);
    expect(isProof(new Uint8Array(0), 'secret', 'opener', opener, acceptor)).toBe(false);
  });

  it('tell where one part ends and the next begins', () => {
    const moved = { ...opener, clusterId: `${opener.clusterId}a`, nodeId: '' };
    expect(isProof(proof, 'secret', 'opener', moved, acceptor)).toBe(false);
  });

  it('are HMAC-SHA256 over all parts, each behind its length', () => {
    const part = (bytes: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(bytes.length, 0, 0, 0), bytes]);
    const parts = [opener, acceptor].flatMap(({ clusterId, nodeId, nodeName, nonce }) => {
      const held = bytesOf('0:3 4294967295:4294967295');
      return [bytesOf('1'), bytesOf(clusterId), bytesOf(nodeId), bytesOf(nodeName), held, nonce];
    });
    const text = Buffer.concat([bytesOf('opener'), ...parts].map(part));
    expect(Buffer.from(proof)).toEqual(createHmac('sha256', 'secret').update(text).digest());
  });
});

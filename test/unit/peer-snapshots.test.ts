import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { crc32c } from '../../engine/log/crc32c.ts';
import { Configuration, encodeConfig } from '../../engine/raft/config.ts';
import type { BackgroundPool } from '../../engine/snapshot/pool.ts';
import { SnapshotReceiver, WINDOW_BYTES } from '../../net/peer/snapshotreceiver.ts';
import { SnapshotSender } from '../../net/peer/snapshotsender.ts';
import {
  type PeerMessage,
  SNAPSHOT_CHUNK,
  SNAPSHOT_CONTINUE,
  SNAPSHOT_DONE,
  SNAPSHOT_REFUSED,
  SNAPSHOT_REPLY,
  type SnapshotChunk,
  type SnapshotReply,
} from '../../proto/messages.ts';
import { until } from '../support/peers.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-pieces-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const config = new Configuration([1, 2], [], [], 2);
const log = { write: () => {} };

describe('the receiver', () => {
  let replies: string[];
  let received: string[];
  let receiver: SnapshotReceiver;

  beforeEach(() => {
    replies = [];
    received = [];
    const pool = { run: () => Promise.resolve({ groups: [{ group: 0, index: 100, term: 7 }] }) };
    const send = (_: number, m: PeerMessage): boolean => {
      const { status, offset, round, snapshot } = m as SnapshotReply;
      const word = status === SNAPSHOT_CONTINUE ? 'go' : status === SNAPSHOT_DONE ? 'done' : 'no';
      replies.push(`${word} ${offset} of ${snapshot} round ${round}`);
      return true;
    };
    const handlers = { onSnapshotReceived: (_: unknown, path: string) => received.push(path) };
    receiver = new SnapshotReceiver(0, 2, directory, pool as unknown as BackgroundPool, send, handlers, log);
  });
  afterEach(() => receiver.close());

  function piece(offset: number, text: string, fields: Partial<SnapshotChunk> = {}): void {
    const data = Buffer.from(text);
    receiver.take({
      type: SNAPSHOT_CHUNK,
      group: 0,
      from: 1,
      to: 2,
      term: 9,
      snapshot: 5,
      index: 100,
      lastTerm: 7,
      offset,
      last: false,
      crc: crc32c(data, 0, data.length),
      configurationIndex: 3,
      configuration: encodeConfig(config),
      data,
      round: 1,
      ...fields,
    });
  }

  it('acknowledges what is in the file, and hands over the whole', async () => {
    piece(0, '');
    await until(() => replies.length === 1);
    piece(0, 'abc');
    piece(3, 'defg');
    piece(7, 'h', { last: true });
    await until(() => received.length === 1);
    expect(replies.slice(0, 4).map((reply) => reply.split(' ')[1])).toEqual(['0', '3', '7', '8']);
    expect(replies.at(-1)).toBe('done 8 of 5 round 1');
    expect(readFileSync(received[0], 'utf8')).toBe('abcdefgh');
    // The sender may not have heard: it asks on its next connection.
    piece(7, '', { round: 2 });
    expect(replies.at(-1)).toBe('done 8 of 5 round 2');
    expect(received.length).toBe(1);
  });

  it('says where to go on when all that came before is written, and nothing else until then', async () => {
    piece(0, '');
    await until(() => replies.length === 1);
    piece(0, 'abc');
    piece(3, 'def');
    piece(6, 'ghi');
    piece(0, '', { round: 2 });
    await until(() => replies.length > 1);
    expect(replies.slice(1)).toEqual(['go 9 of 5 round 2']);
  });

  it.each([
    ['a piece with another checksum', { crc: 1 }],
    ['one of an older term', { term: 8 }],
  ])('refuses %s', async (_, wrong) => {
    piece(0, '');
    await until(() => replies.length === 1);
    piece(0, 'abc', wrong);
    expect(replies.at(-1)).toBe('no 0 of 5 round 1');
  });

  it('refuses what has no configuration', () => {
    piece(0, '', { configuration: new Uint8Array(3) });
    expect(replies).toEqual(['no 0 of 5 round 1']);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('does not take pieces out of their order, nor more than it can write', async () => {
    piece(0, '');
    await until(() => replies.length === 1);
    piece(3, 'def');
    expect(replies.at(-1)).toBe('go 0 of 5 round 1');
    const large = 'x'.repeat(WINDOW_BYTES);
    for (let i = 0; i < 8; i++) piece(i * WINDOW_BYTES, large);
    await until(() => replies.at(-1)!.startsWith(`go ${5 * WINDOW_BYTES} `));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(replies.at(-1)).toContain(`go ${5 * WINDOW_BYTES} `);
  });

  it('begins anew with another snapshot of the same index', async () => {
    piece(0, '');
    await until(() => replies.length === 1);
    piece(0, 'abcdef');
    piece(0, '', { snapshot: 6 });
    await until(() => replies.at(-1) === 'go 0 of 6 round 1');
    piece(0, 'ghi', { snapshot: 6, last: true });
    await until(() => received.length === 1);
    expect(readFileSync(received[0], 'utf8')).toBe('ghi');
    expect(readdirSync(directory)).toEqual(['received-1.tmp']);
  });
});

describe('the sender', () => {
  const meta = { index: 100, term: 7, config, configIndex: 3 };
  const sent: SnapshotChunk[] = [];
  const ends: string[] = [];
  let sender: SnapshotSender;
  let path = '';

  beforeEach(() => {
    sent.length = ends.length = 0;
    const send = (_: number, m: PeerMessage): boolean => {
      const chunk = m as SnapshotChunk;
      sent.push({ ...chunk, data: chunk.data.slice() });
      return true;
    };
    const handlers = {
      onSnapshotSent: (to: number, index: number) => ends.push(`sent ${to} ${index}`),
      onSnapshotFailed: (to: number) => ends.push(`failed ${to}`),
    };
    sender = new SnapshotSender(0, 1, send, handlers, log);
    path = join(directory, 'snapshot');
    writeFileSync(path, Buffer.alloc(3_000_000, 'abc'));
  });
  afterEach(() => sender.stop());

  function reply(offset: number, fields: Partial<SnapshotReply> = {}): void {
    const { snapshot, round } = sent.at(-1)!;
    const head = { group: 0, from: 2, to: 1, term: 9, snapshot, round };
    sender.take({ type: SNAPSHOT_REPLY, ...head, status: SNAPSHOT_CONTINUE, offset, window: 1024 * 1024, ...fields });
  }

  const nothingHappens = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

  it('asks first, and has no more under way than the window, however small', async () => {
    sender.begin(2, 9, meta, path);
    await until(() => sent.length === 1);
    expect([sent[0].data.length, sent[0].last, sent[0].round]).toEqual([0, false, 1]);
    await nothingHappens();
    expect(sent.length).toBe(1);
    reply(1000, { window: 10_000 });
    await until(() => sent.length === 3);
    await nothingHappens();
    expect(sent.slice(1).map(({ offset, data }) => [offset, data.length])).toEqual([
      [1000, 5000],
      [6000, 5000],
    ]);
    expect(sent[1].crc).toBe(crc32c(sent[1].data, 0, 5000));
    reply(6000, { window: 10_000 });
    await until(() => sent.length === 4);
    expect(sent[3].offset).toBe(11_000);
    expect(sender.progress(2)).toEqual({ index: 100, sizeBytes: 3_000_000, doneBytes: 6000 });
  });

  it('does not take answers to an earlier question, of another term or to another snapshot', async () => {
    sender.begin(2, 9, meta, path);
    await until(() => sent.length === 1);
    sender.resume(2);
    expect(sent[1].round).toBe(2);
    reply(1000, { round: 1 });
    reply(1000, { term: 8 });
    reply(1000, { snapshot: 1 });
    reply(0, { status: SNAPSHOT_REFUSED, round: 1 });
    await nothingHappens();
    expect([sent.length, ends]).toEqual([2, []]);
    reply(2_999_999);
    await until(() => sent.length === 3);
    expect([sent[2].offset, sent[2].data.length, sent[2].last]).toEqual([2_999_999, 1, true]);
    reply(3_000_000, { status: SNAPSHOT_DONE });
    expect(ends).toEqual(['sent 2 100']);
  });

  it('gives the same file the same number until it has arrived', async () => {
    const numbers: number[] = [];
    for (const end of [SNAPSHOT_REFUSED, SNAPSHOT_DONE, SNAPSHOT_DONE]) {
      const before = sent.length;
      sender.begin(2, 9, meta, path);
      await until(() => sent.length > before);
      numbers.push(sent.at(-1)!.snapshot);
      reply(0, { status: end });
    }
    expect(numbers[1]).toBe(numbers[0]);
    expect(numbers[2]).not.toBe(numbers[0]);
    expect(ends).toEqual(['failed 2', 'sent 2 100', 'sent 2 100']);
  });

  it('gives up on whoever says nothing for ten seconds', async () => {
    sender.begin(2, 9, meta, path);
    await until(() => sent.length === 1);
    for (let i = 0; i < 100; i++) sender.tick();
    expect(ends).toEqual([]);
    sender.tick();
    expect(ends).toEqual(['failed 2']);
  });
});

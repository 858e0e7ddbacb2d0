import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../engine/log/realdisk.ts';
import { Configuration } from '../../engine/raft/config.ts';
import type { SnapshotMeta } from '../../engine/raft/entry.ts';
import { HEARTBEAT, Message, SNAPSHOT } from '../../engine/raft/message.ts';
import { Random } from '../../engine/random.ts';
import { PeerNet, type PeerNode, until } from '../support/peers.ts';
import { chunkOf, headerAt, writeChunks } from '../support/snapshot-files.ts';

const MIB = 1024 * 1024;
let peerNet: PeerNet;
beforeEach(() => {
  peerNet = new PeerNet();
});
afterEach(() => peerNet.close());

function metaAt(index: number): SnapshotMeta {
  return { index, term: 7, config: new Configuration([1, 2], [], [3], 4), configIndex: index - 1 };
}

/** A snapshot that ends at `index`, of about `sizeBytes`. */
function snapshotFile(index: number, sizeBytes: number, name = `snapshot-${index}`): string {
  const path = join(peerNet.directory, name);
  const random = new Random(index);
  const chunks = [];
  for (let left = sizeBytes; left > 0; left -= MIB) chunks.push(chunkOf(random, Math.min(left, MIB), true));
  writeChunks(realDisk, path, headerAt(index), chunks);
  return path;
}

function sha(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function receivedBy({ replica }: PeerNode): string[] {
  return readdirSync(join(peerNet.directory, `r${replica}`));
}

describe('a snapshot', () => {
  it.each([1, 100_000, 9 * MIB])('of %d bytes arrives whole', async (size) => {
    const [a, b] = await peerNet.start(2);
    const path = snapshotFile(100, size);
    a.peers.sendSnapshot(2, 9, metaAt(100), path);
    await until(() => b.snapshots.length === 1 && a.sent.length === 1);
    const [{ message, path: got }] = b.snapshots;
    const expected = new Message(SNAPSHOT, 0, 1, 2, 9);
    expected.snapshot = metaAt(100);
    expect(message).toEqual(expected);
    expect(sha(got)).toBe(sha(path));
    expect(a.sent).toEqual(['sent 2 100']);
    expect(receivedBy(b)).toEqual(['received-1.tmp']);
    expect(a.peers.status()[0].snapshot).toBeUndefined();
  });

  it('goes on where it was when the connection was lost in the middle', async () => {
    const [a, b] = await peerNet.start(2);
    const path = snapshotFile(100, 6 * MIB);
    let passed = 0;
    let cuts = 0;
    peerNet.onPass(1, 2, (bytes) => {
      passed += bytes.length;
      if (cuts === 2 || passed < (cuts + 1) * 2 * MIB) return;
      cuts++;
      setImmediate(() => peerNet.cut(1, 2));
      setTimeout(() => peerNet.heal(1, 2), 20);
    });
    a.peers.sendSnapshot(2, 9, metaAt(100), path);
    await until(() => b.snapshots.length === 1 && a.sent.length === 1);
    expect(a.sent).toEqual(['sent 2 100']);
    expect(sha(b.snapshots[0].path)).toBe(sha(path));
    expect(cuts).toBe(2);
    // A window may be lost with a connection, no more.
    expect(passed).toBeLessThan(6 * MIB + cuts * 1.2 * MIB);
  });

  it('that was damaged on the way to the wire is refused', async () => {
    const [a, b] = await peerNet.start(2);
    const path = snapshotFile(100, 2 * MIB);
    const bytes = readFileSync(path);
    bytes[MIB] ^= 1;
    writeFileSync(path, bytes);
    a.peers.sendSnapshot(2, 9, metaAt(100), path);
    await until(() => a.sent.length === 1);
    expect(a.sent).toEqual(['failed 2']);
    expect(b.snapshots).toEqual([]);
    expect(b.logged.at(-1)).toContain('do not match their checksum');
    await until(() => receivedBy(b).length === 0);
  });

  it('of another position than said is refused', async () => {
    const [a, b] = await peerNet.start(2);
    a.peers.sendSnapshot(2, 9, metaAt(101), snapshotFile(100, 1000));
    await until(() => a.sent.length === 1);
    expect(a.sent).toEqual(['failed 2']);
    await until(() => receivedBy(b).length === 0);
  });

  it('whose frame is changed on the way goes on over a new connection', async () => {
    const [a, b] = await peerNet.start(2);
    const path = snapshotFile(100, 3 * MIB);
    let passed = 0;
    peerNet.onPass(1, 2, (bytes) => {
      const before = passed;
      passed += bytes.length;
      if (before < MIB && passed >= MIB) bytes[bytes.length >> 1] ^= 8;
    });
    a.peers.sendSnapshot(2, 9, metaAt(100), path);
    await until(() => b.snapshots.length === 1 && a.sent.length === 1);
    expect(a.sent).toEqual(['sent 2 100']);
    expect(sha(b.snapshots[0].path)).toBe(sha(path));
    expect(b.logged.join()).toMatch(/peer: /);
    expect(b.reach).toContain('-1');
  });

  it('gives way to a newer one, and an older term to a later', async () => {
    const net = await peerNet.start(3);
    const [a, b, c] = net;
    const old = snapshotFile(100, 8 * MIB);
    const next = snapshotFile(200, MIB);
    a.peers.sendSnapshot(2, 9, metaAt(100), old);
    await until(() => (a.peers.status()[0].snapshot?.doneBytes ?? 0) > MIB);
    a.peers.sendSnapshot(2, 9, metaAt(200), next);
    await until(() => b.snapshots.length === 1);
    expect(b.snapshots[0].message.snapshot!.index).toBe(200);
    await until(() => a.sent.length === 1);
    expect(a.sent).toEqual(['sent 2 200']);

    a.peers.sendSnapshot(2, 9, metaAt(100), old);
    await until(() => (a.peers.status()[0].snapshot?.doneBytes ?? 0) > MIB);
    c.peers.sendSnapshot(2, 10, metaAt(200), next);
    await until(() => b.snapshots.length === 2 && a.sent.length === 2 && c.sent.length === 1);
    expect(c.sent).toEqual(['sent 2 200']);
    expect(a.sent).toEqual(['sent 2 200', 'failed 2']);
    expect([b.snapshots[1].message.from, b.snapshots[1].message.term]).toEqual([3, 10]);
    await until(() => receivedBy(b).length === 2);
  });

  it('can be sent again to whoever has lost it', async () => {
    const [a, b] = await peerNet.start(2);
    const path = snapshotFile(100, 1000);
    for (let times = 1; times <= 2; times++) {
      a.peers.sendSnapshot(2, 9, metaAt(100), path);
      await until(() => a.sent.length === times && b.snapshots.length === times);
    }
    expect(new Set(b.snapshots.map((each) => each.path)).size).toBe(2);
  });

  it('is read to its end though its file is removed meanwhile', async () => {
    const [a, b] = await peerNet.start(2);
    const path = snapshotFile(100, 4 * MIB);
    const before = sha(path);
    a.peers.sendSnapshot(2, 9, metaAt(100), path);
    await until(() => (a.peers.status()[0].snapshot?.doneBytes ?? 0) > 0);
    rmSync(path);
    await until(() => b.snapshots.length === 1);
    expect(sha(b.snapshots[0].path)).toBe(before);
  });

  it('that is not there has failed', async () => {
    const [a] = await peerNet.start(2);
    a.peers.sendSnapshot(2, 9, metaAt(100), join(peerNet.directory, 'none'));
    await until(() => a.sent.length === 1);
    expect(a.sent).toEqual(['failed 2']);
  });

  it('leaves room for heartbeats where the connection is, or becomes, slow', async () => {
    const [a, b] = await peerNet.start(2);
    let passed = 0;
    peerNet.onPass(1, 2, (bytes) => {
      passed += bytes.length;
      if (passed > 4 * MIB) peerNet.throttle(1, 2, 700);
    });
    a.peers.sendSnapshot(2, 9, metaAt(100), snapshotFile(100, 16 * MIB));
    await until(() => passed > 5 * MIB);
    const lateMs: number[] = [];
    for (let round = 1; round <= 12; round++) {
      const sentAt = performance.now();
      const beat = new Message(HEARTBEAT, 0, 1, 2, 9);
      beat.round = round;
      a.peers.send(beat);
      a.peers.flush();
      await until(() => b.messages.at(-1)?.round === round);
      lateMs.push(performance.now() - sentAt);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(a.peers.status()[0].snapshot?.doneBytes).toBeGreaterThan(5 * MIB);
    expect(b.snapshots).toEqual([]);
    lateMs.sort((x, y) => x - y);
    // The window that was under way at first would take 1.5 s.
    expect(lateMs[6]).toBeLessThan(300);
    expect(lateMs[11]).toBeLessThan(600);
  });
});

it('what was left of a transfer is removed at the start', async () => {
  const directory = join(peerNet.directory, 'r1');
  mkdirSync(directory, { recursive: true });
  for (const name of ['receiving-3-17.tmp', 'received-2.tmp', 'snapshot-17.mrs'])
    writeFileSync(join(directory, name), '');
  await peerNet.add(1);
  expect(readdirSync(directory)).toEqual(['snapshot-17.mrs']);
  expect(statSync(directory).isDirectory()).toBe(true);
});

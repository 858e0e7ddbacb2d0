/** What `--repair` says and does: of a log that is damaged, of one that a start would refuse, and on a replica. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { markBase } from '../../engine/log/base.ts';
import { realDisk } from '../../engine/log/realdisk.ts';
import { segmentPath } from '../../engine/log/segment.ts';
import { Configuration } from '../../engine/raft/config.ts';
import { ENTRY_COMMAND, Entry } from '../../engine/raft/entry.ts';
import { RaftStore } from '../../engine/raft/store.ts';
import { RdbFileWriter } from '../../engine/rdb/write.ts';
import { snapshotName } from '../../engine/snapshot/retain.ts';
import { Config } from '../../net/config.ts';
import { repairDirectory } from '../../net/repair.ts';
import { put, reopen } from '../support/log.ts';
import { headerAt, writeChunks } from '../support/snapshot-files.ts';

/** Each entry has a segment to itself. */
const OPTIONS = { segmentBytes: 8192, reserveBytes: 1024 };
const NOTHING = { index: 0, term: 0, config: new Configuration([1, 2, 3], [], [], 3), configIndex: 0 };
const IDENTITY = { clusterId: '0c'.repeat(16), nodeId: 'ab'.repeat(16), replica: 3 };
const PAYLOAD = Buffer.alloc(5000, 'payload');

let dir = '';
let log = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-repair-'));
  log = join(dir, 'appendonlydir');
  mkdirSync(log);
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function repair(does: boolean): { code: number; text: string } {
  const config = new Config();
  config.set('dir', dir);
  let text = '';
  const code = repairDirectory(config, does, (more) => {
    text += more;
  });
  return { code, text };
}

/** Five entries. */
function fillLog(): void {
  const { log: open } = reopen(realDisk, log, OPTIONS);
  for (let index = 1; index <= 5; index++) put(open, index, PAYLOAD.toString());
  open.close();
}

function saveSnapshot(index: number): void {
  writeChunks(realDisk, join(dir, snapshotName(headerAt(index).groups)), headerAt(index), []);
}

/** What an RDB file of ours says. */
function saveRdb(logIndex: number): void {
  const pieces: Uint8Array[] = [];
  const rdb = new RdbFileWriter((bytes) => pieces.push(bytes.slice()));
  rdb.begin({ redisVersion: '7.4.0', createdAtSeconds: 0, usedBytes: 0, logIndex });
  rdb.end();
  writeFileSync(join(dir, 'dump.rdb'), Buffer.concat(pieces));
}

/** A replica with five entries in its log. */
function fillReplica(): void {
  const store = RaftStore.open(realDisk, log, OPTIONS);
  store.begin(IDENTITY);
  store.restore(NOTHING);
  store.write(
    { term: 2, vote: 3 },
    null,
    [1, 2, 3, 4, 5].map((index) => new Entry(index, 2, ENTRY_COMMAND, PAYLOAD, 0, PAYLOAD.length)),
  );
  store.close();
}

function isLost(index = 0): boolean {
  const store = RaftStore.open(realDisk, log, OPTIONS);
  const { isLost } = store.restore({ ...NOTHING, index, term: index === 0 ? 0 : 2 });
  store.close();
  return isLost;
}

it.each([0, 4096])('a replica whose last segment has only %d bytes left gives its log up', (bytes) => {
  fillReplica();
  truncateSync(segmentPath(log, 5), bytes);
  const plan = repair(false);
  expect(plan).toMatchObject({ code: 1, text: expect.stringContaining('joins its group again') });
  expect(plan.text).not.toContain('a snapshot covers');
  expect(repair(true).code).toBe(0);
  expect(isLost()).toBe(true);
});

it('a replica keeps its log where a snapshot has all that is put aside', () => {
  fillReplica();
  saveSnapshot(3);
  truncateSync(segmentPath(log, 2), 100);
  const { code, text } = repair(true);
  expect([code, text]).toEqual([0, expect.stringContaining('a snapshot covers all of it')]);
  expect(text).not.toContain('joins its group again');
  expect(isLost(3)).toBe(false);
});

it('a node by itself is not told of a group', () => {
  fillLog();
  truncateSync(segmentPath(log, 5), 0);
  const { code, text } = repair(true);
  expect([code, text]).toEqual([0, expect.stringContaining('- unknown: ')]);
  expect(text).not.toContain('group again');
  expect(repair(false).code).toBe(0);
});

it('a log whose first segment is gone is not whole, but behind a snapshot or an RDB file that has it', () => {
  fillLog();
  unlinkSync(segmentPath(log, 1));
  for (const does of [false, true]) {
    const { code, text } = repair(does);
    expect(code).toBe(1);
    expect(text).toMatch(/from entry 0 to entry 2: .*Put back what is missing/);
    expect(text).not.toContain('is whole');
  }
  saveRdb(1);
  expect(repair(false)).toMatchObject({ code: 0, text: expect.stringContaining('is whole') });
  unlinkSync(join(dir, 'dump.rdb'));
  saveSnapshot(1);
  expect(repair(false).code).toBe(0);
});

it('a log that is repaired and still refused is not reported as done', () => {
  fillLog();
  unlinkSync(segmentPath(log, 1));
  truncateSync(segmentPath(log, 5), 0);
  const { code, text } = repair(true);
  expect(code).toBe(1);
  expect(text).toMatch(/It is done\.\nA start would still be refused: .* from entry 0 to entry 2: /);
});

it('a replica whose snapshot is gone is told so', () => {
  fillReplica();
  unlinkSync(segmentPath(log, 1));
  expect(repair(false)).toMatchObject({ code: 1, text: expect.stringContaining('from entry 0 to entry 2') });
});

it('a log of which nothing is left is not whole', () => {
  fillLog();
  saveSnapshot(2);
  markBase(realDisk, log);
  for (const name of readdirSync(log)) if (name.endsWith('.log')) unlinkSync(join(log, name));
  expect(repair(false)).toMatchObject({ code: 1, text: expect.stringContaining('are gone') });
});

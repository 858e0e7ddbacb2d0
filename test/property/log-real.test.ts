import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LogError } from '../../engine/log/errors.ts';
import { realDisk } from '../../engine/log/realdisk.ts';
import { openLog } from '../../engine/log/recover.ts';
import { payloads, put, reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const OPTIONS = { segmentBytes: 256 * 1024, reserveBytes: 64 * 1024 };
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-log-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

it('works on real files: appends, rotations, replacements, drops, re-opens', () => {
  const random = seeded(3);
  const directory = join(root, 'data', 'log');
  let { log } = reopen(realDisk, directory, OPTIONS);
  const expected = [''];
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 20; i++) {
      if (expected.length > 10 && random.below(50) === 0) expected.length -= random.below(5);
      const payload = `${round}.${i}${'.'.repeat(random.below(random.below(40) === 0 ? 300_000 : 1000))}`;
      put(log, expected.length, payload);
      expected.push(payload);
    }
    if (round % 3 === 0) log.flush();
    else log.sync();
    if (round % 20 === 19) {
      if (round % 40 === 39) log.close();
      else log.flush();
      const found = reopen(realDisk, directory, OPTIONS);
      expect(found.torn).toBeUndefined();
      log = found.log;
    }
    if (round % 15 === 14) log.dropThrough(0, expected.length - 100);
    const first = log.firstIndex(0);
    expect(payloads(log, 0, first, expected.length)).toEqual(expected.slice(first));
  }
  log.close();
  expect(log.firstIndex(0)).toBeGreaterThan(1);
}, 60_000);

it('reads a record of 80 MiB, and does not keep its memory', () => {
  const directory = join(root, 'log');
  const { log } = reopen(realDisk, directory);
  const bytes = new Uint8Array(80 * 1024 * 1024);
  bytes[0] = 1;
  bytes[bytes.length - 1] = 2;
  put(log, 1, 'before');
  log.append(0, 1, 2, bytes, 0, bytes.length);
  put(log, 3, 'behind');
  log.sync();
  expect(log.segmentCount).toBe(3);
  const scan = openLog(realDisk, directory);
  expect(scan.next()!.length).toBe(6);
  const large = scan.next()!;
  expect(large.length).toBe(bytes.length);
  expect(large.bytes[large.start]).toBe(1);
  expect(large.bytes[large.start + large.length - 1]).toBe(2);
  const behind = scan.next()!;
  expect(behind.bytes.length).toBeLessThan(8 * 1024 * 1024);
  expect(scan.next()).toBeUndefined();
  scan.stop();
  log.close();
}, 60_000);

it('names file, offset and the system in errors', () => {
  writeFileSync(join(root, 'file'), '');
  expect(() => openLog(realDisk, join(root, 'file'))).toThrow(
    expect.objectContaining({ code: 'IO', systemCode: 'EEXIST', file: join(root, 'file') }),
  );
  expect(() => realDisk.open(join(root, 'none'), 'read')).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  const directory = join(root, 'log');
  reopen(realDisk, directory, OPTIONS).log.close();
  const path = join(directory, '0000000000000001.log');
  // Given back, but for the header: nothing was appended.
  expect(statSync(path).size).toBe(4096);
  writeFileSync(path, 'short');
  expect(() => reopen(realDisk, directory, OPTIONS)).toThrow(expect.objectContaining({ code: 'CORRUPT', file: path }));
});

/** A file system of 2 MiB; undefined where this process may not mount one. */
function smallFileSystem(path: string): string | undefined {
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', path], { stdio: 'ignore' });
    return path;
  } catch {
    return undefined;
  }
}

it('fills a real disk, says so in time, and goes on when there is room again', ({ skip }) => {
  const mounted = smallFileSystem(join(root, 'small'));
  if (mounted === undefined) skip('needs the right to mount a tmpfs');
  try {
    const directory = join(mounted!, 'log');
    const ballast = join(mounted!, 'ballast');
    writeFileSync(ballast, Buffer.alloc(700 * 1024));
    const { log } = reopen(realDisk, directory, { segmentBytes: 512 * 1024, reserveBytes: 256 * 1024 });
    let index = 0;
    let acknowledged = 0;
    let troubleAt = 0;
    let error: unknown;
    while (error === undefined) {
      put(log, ++index, '.'.repeat(10_000));
      try {
        log.sync();
        acknowledged = index;
        if (troubleAt === 0 && log.trouble !== undefined) troubleAt = index;
      } catch (caught) {
        error = caught;
      }
    }
    expect(error).toBeInstanceOf(LogError);
    expect(error).toMatchObject({ code: 'NO_SPACE', systemCode: 'ENOSPC' });
    // 256 KiB of these entries went well after the disk was full.
    expect(troubleAt).toBeGreaterThan(0);
    expect(acknowledged - troubleAt).toBeGreaterThan(15);
    rmSync(ballast);
    log.sync();
    expect(log.trouble).toBeUndefined();
    log.close();
    expect(reopen(realDisk, directory, OPTIONS).records).toHaveLength(index);
  } finally {
    execFileSync('umount', ['-l', mounted!]);
  }
});

/** Directories of Redis with append-only files, which are not to be taken for empty ones. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { refuseRedisLog } from '../../net/redis-log.ts';

let directory: string;
let logs: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-redis-log-'));
  logs = join(directory, 'appendonlydir');
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function write(...path: string[]): void {
  const file = join(directory, ...path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, '');
}

it('refuses those of Redis 7, with or without a dump.rdb beside them', () => {
  write('appendonlydir', 'appendonly.aof.2.base.rdb');
  write('appendonlydir', 'appendonly.aof.2.incr.aof');
  write('appendonlydir', 'appendonly.aof.manifest');
  expect(() => refuseRedisLog(directory, logs)).toThrow(/appendonly\.aof\.manifest.*redis-server load it and SAVE/);
  write('dump.rdb');
  expect(() => refuseRedisLog(directory, logs)).toThrow(/manifest/);
});

it('refuses that of older versions', () => {
  write('appendonly.aof');
  expect(() => refuseRedisLog(directory, logs)).toThrow(/appendonly\.aof is an append-only file of Redis/);
});

it('takes empty directories, a dump.rdb alone, and directories of its own', () => {
  refuseRedisLog(join(directory, 'none'), join(directory, 'none', 'logs'));
  refuseRedisLog(directory, logs);
  write('dump.rdb');
  refuseRedisLog(directory, logs);
  write('appendonlydir', 'appendonly.aof.manifest');
  write('appendonlydir', '0000000000000001.log');
  refuseRedisLog(directory, logs);
});

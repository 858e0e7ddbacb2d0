/**
 * Trouble of the disk under a real node: full, failing, slow, read-only. Whatever happens, nothing that was acknowledged is
 * missing afterwards, reads go on, and what an operator and a client are told is clear.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diskAvailable, SmallDisk, tracer, tracerAvailable } from '../support/durability-disk.ts';
import { DurableNode, sleep, until } from '../support/durability-node.ts';
import type { RawClient } from '../support/redis.ts';

const TIMEOUT = 60_000;
const LOGGED = ['--appendonly', 'yes'];
const ALWAYS = [...LOGGED, '--appendfsync', 'always'];
const LOG_TEXT = '-MISCONF Errors writing to the AOF file: No space left on device\r\n';
const SAVE_TEXT =
  "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may " +
  'modify the data set are disabled, because this instance is configured to report errors during writes if RDB ' +
  'snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.\r\n';

if (!diskAvailable) console.warn('disk: no tmpfs may be mounted here, so tests with a full disk are skipped');
if (!tracerAvailable) console.warn('disk: there is no strace that may trace, so tests with failing calls are skipped');

const nodes: DurableNode[] = [];
let dir = '';
let disk: SmallDisk | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-disk-'));
});

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.kill();
  disk?.unmount();
  disk = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function start(where: string, flags: readonly string[], before: readonly string[] = []): Promise<DurableNode> {
  const node = await DurableNode.start(where, flags, before);
  nodes.push(node);
  return node;
}

/** Writes keys until one is refused; which were acknowledged. */
async function writeUntilRefused(
  client: RawClient,
  name: string,
): Promise<{ acknowledged: string[]; refusal: string }> {
  const acknowledged: string[] = [];
  for (let i = 0; i < 5000; i++) {
    const key = `${name}:${i}`;
    const reply = await client.run('SET', key, `${key} `.repeat(400));
    if (reply !== '+OK\r\n') return { acknowledged, refusal: reply };
    acknowledged.push(key);
  }
  throw new Error('nothing was refused');
}

async function expectAll(client: RawClient, keys: readonly string[]): Promise<void> {
  const replies = await client.pipeline(keys.map((key) => ['GET', key]));
  expect(replies.filter((reply, i) => !reply.includes(`\n${keys[i]} `))).toEqual([]);
}

describe.runIf(diskAvailable)('a full disk', () => {
  it.each(['always', 'everysec'])(
    'refuses writes and not reads, loses nothing, and takes writes again when there is room: appendfsync %s',
    async (policy) => {
      disk = SmallDisk.mount(24) as SmallDisk;
      const flags = [...LOGGED, '--appendfsync', policy];
      const node = await start(disk.path, flags);
      const client = await node.connect();
      await client.run('SET', 'first', '1');
      disk.fill();
      const { acknowledged, refusal } = await writeUntilRefused(client, 'a');
      expect(refusal).toBe(LOG_TEXT);
      expect(await client.run('PING')).toBe(LOG_TEXT);
      expect(await client.run('GET', 'first')).toBe('$1\r\n1\r\n');
      await expectAll(client, acknowledged);
      expect(await client.run('INFO', 'persistence')).toContain('aof_last_write_status:err\r\n');
      expect(node.output).toMatch(/The log cannot be written, so writes are refused: .*no space left on device/i);

      disk.free();
      await until('writes are taken', async () => (await client.run('SET', 'again', '2')) === '+OK\r\n');
      expect(await client.run('PING')).toBe('+PONG\r\n');
      expect(await client.run('INFO', 'persistence')).toContain('aof_last_write_status:ok\r\n');
      // What a system would still have in its cache survives this kill in any case.
      if (policy === 'everysec') await sleep(50);
      await node.kill();
      const after = await start(disk.path, flags);
      const reader = await after.connect();
      await expectAll(reader, acknowledged);
      expect(
        await reader.pipeline([
          ['GET', 'first'],
          ['GET', 'again'],
        ]),
      ).toEqual(['$1\r\n1\r\n', '$1\r\n2\r\n']);
    },
    TIMEOUT,
  );

  it(
    'keeps what was acknowledged when the node is killed while it is full, and starts again, on the full disk too',
    async () => {
      disk = SmallDisk.mount(24) as SmallDisk;
      const node = await start(disk.path, ALWAYS);
      const client = await node.connect();
      disk.fill();
      const { acknowledged } = await writeUntilRefused(client, 'a');
      await node.kill();
      const reading = await start(disk.path, ALWAYS);
      const reader = await reading.connect();
      await expectAll(reader, acknowledged);
      expect(await reader.run('SET', 'b', 'x'.repeat(100_000))).toBe(LOG_TEXT);
      // Without a log there is nothing that a write waits for.
      expect(await reader.run('CONFIG', 'SET', 'appendonly', 'no')).toBe('+OK\r\n');
      expect(await reader.run('SET', 'b', '1')).toBe('+OK\r\n');
      await reading.kill();
      disk.free();
      const after = await start(disk.path, ALWAYS);
      await expectAll(await after.connect(), acknowledged);
    },
    TIMEOUT,
  );

  it(
    'keeps no reply from a read though large writes are under way when it gets full',
    async () => {
      disk = SmallDisk.mount(24) as SmallDisk;
      const node = await start(disk.path, ALWAYS);
      const reader = await node.connect();
      await reader.run('SET', 'first', '1');
      disk.fill();
      const writers = await Promise.all(Array.from({ length: 8 }, () => node.connect()));
      const replies = await Promise.all(writers.map((writer, i) => writer.run('SET', `a:${i}`, 'x'.repeat(1_800_000))));
      const accepted = replies.flatMap((reply, i) => (reply === '+OK\r\n' ? [i] : []));
      expect(replies.filter((reply) => reply !== '+OK\r\n')).toEqual(Array(8 - accepted.length).fill(LOG_TEXT));
      expect(accepted.length).toBeLessThan(8);
      expect(await reader.run('GET', 'first')).toBe('$1\r\n1\r\n');
      await node.kill();
      disk.free();
      const after = await start(disk.path, ALWAYS);
      expect(await after.ask(...accepted.map((i) => ['STRLEN', `a:${i}`]))).toEqual(accepted.map(() => ':1800000\r\n'));
    },
    TIMEOUT,
  );

  it(
    'refuses writes after a snapshot failed, as stop-writes-on-bgsave-error says',
    async () => {
      disk = SmallDisk.mount(8) as SmallDisk;
      const node = await start(disk.path, ['--save', '3600 1']);
      const client = await node.connect();
      await client.run('SET', 'a', 'x'.repeat(100_000));
      disk.fill();
      // Whoever asked for this one is told, and nobody else suffers.
      expect(await client.pipeline([['SAVE'], ['SET', 'b', '1']])).toEqual(['-ERR\r\n', '+OK\r\n']);
      expect(await client.run('INFO', 'persistence')).toContain('rdb_last_bgsave_status:ok\r\n');
      expect(await client.run('BGSAVE')).toBe('+Background saving started\r\n');
      await until('the snapshot fails', () => node.output.split('The snapshot failed').length === 3);
      expect(await client.pipeline([['SET', 'b', '1'], ['PING'], ['STRLEN', 'a'], ['SAVE']])).toEqual([
        SAVE_TEXT,
        SAVE_TEXT,
        ':100000\r\n',
        '-ERR\r\n',
      ]);
      expect(await client.run('INFO', 'persistence')).toContain('rdb_last_bgsave_status:err\r\n');
      await client.run('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no');
      expect(await client.pipeline([['SET', 'b', '1'], ['PING']])).toEqual(['+OK\r\n', '+PONG\r\n']);
      await client.run('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'yes');
      expect(await client.run('SET', 'b', '2')).toBe(SAVE_TEXT);
      disk.free();
      expect(await client.run('SAVE')).toBe('+OK\r\n');
      expect(await client.run('SET', 'b', '2')).toBe('+OK\r\n');
    },
    TIMEOUT,
  );

  it(
    'does not start with a log in a directory that may not be written, and says why; without one it serves',
    async () => {
      disk = SmallDisk.mount(24) as SmallDisk;
      const node = await start(disk.path, ALWAYS);
      await node.ask(['SET', 'a', '1'], ['SAVE']);
      await node.kill();
      disk.remount('ro');
      const refused = await DurableNode.spawn(disk.path, ALWAYS);
      nodes.push(refused);
      expect(await refused.end()).toBe(1);
      expect(refused.errors).toMatch(/^millrace: .*read-only file system.*\n$/i);
      disk.remount('rw');
      expect(await (await start(disk.path, ALWAYS)).ask(['GET', 'a'])).toEqual(['$1\r\n1\r\n']);
    },
    TIMEOUT,
  );

  it(
    'serves from a directory that may not be written when nothing has to be',
    async () => {
      disk = SmallDisk.mount(8) as SmallDisk;
      writeFileSync(join(disk.path, 'dump.rdb.millrace-tmp'), 'what a snapshot that never ended has left');
      disk.remount('ro');
      const node = await start(disk.path, []);
      expect(await node.ask(['SET', 'a', '1'], ['GET', 'a'])).toEqual(['+OK\r\n', '$1\r\n1\r\n']);
      expect(node.output).toMatch(/Nothing can be saved here: .*read-only/i);
      expect(node.output).toMatch(/Unfinished snapshots are left: .*read-only/i);
      disk.remount('rw');
    },
    TIMEOUT,
  );
});

describe.runIf(tracerAvailable)('calls that fail', () => {
  it(
    'a sync that fails is the end: one line, exit code 1, and nothing acknowledged is missing after a restart',
    async () => {
      const node = await start(dir, ALWAYS, tracer('fdatasync', 'error=EIO:when=30'));
      const client = await node.connect();
      const acknowledged: string[] = [];
      for (let i = 0; i < 200; i++) {
        const reply = await client.run('SET', `a:${i}`, `a:${i} `).catch(() => '');
        if (reply !== '+OK\r\n') break;
        acknowledged.push(`a:${i}`);
      }
      expect(await node.end()).toBe(1);
      const lines = node.errors.trim().split('\n');
      expect(lines).toEqual([expect.stringMatching(/^millrace: .*cannot sync .*EIO: i\/o error\. .*start again/)]);
      expect(acknowledged.length).toBeGreaterThan(5);
      expect(acknowledged.length).toBeLessThan(60);
      await expectAll(await (await start(dir, ALWAYS)).connect(), acknowledged);
    },
    TIMEOUT,
  );

  it(
    'a sync that takes long keeps nobody from reading with appendfsync everysec',
    async () => {
      const node = await start(dir, LOGGED, tracer('fdatasync', 'delay_enter=700000:when=4+'));
      const writer = await node.connect();
      const reader = await node.connect();
      let longestMs = 0;
      const until4 = performance.now() + 4000;
      for (let i = 0; performance.now() < until4; i++) {
        await writer.run('SET', `a:${i}`, 'x');
        const askedAt = performance.now();
        await reader.run('GET', 'a:0');
        longestMs = Math.max(longestMs, performance.now() - askedAt);
        await sleep(5);
      }
      const info = await reader.run('INFO', 'persistence');
      expect(Number(/log_longest_sync_ms:([\d.]+)/.exec(info)?.[1])).toBeGreaterThan(600);
      expect(longestMs).toBeLessThan(350);
    },
    TIMEOUT,
  );

  it(
    'with appendfsync always a reply waits for a slow sync, and for no more than two of them',
    async () => {
      const node = await start(dir, ALWAYS, tracer('fdatasync', 'delay_enter=200000:when=8+'));
      const writers = await Promise.all([0, 1, 2, 3].map(() => node.connect()));
      const reader = await node.connect();
      for (let i = 0; i < 12; i++) await writers[0].run('SET', 'a:0', 'x');
      const askedAt = performance.now();
      const written = Promise.all(writers.map((writer, i) => writer.run('SET', `b:${i}`, 'x')));
      expect(await reader.run('GET', 'a:0')).toBe('$1\r\nx\r\n');
      expect(performance.now() - askedAt).toBeLessThan(900);
      expect(await written).toEqual(['+OK\r\n', '+OK\r\n', '+OK\r\n', '+OK\r\n']);
      expect(performance.now() - askedAt).toBeGreaterThan(190);
    },
    TIMEOUT,
  );
});

describe('a directory', () => {
  it('is made when it is missing, and everything in it, too', async () => {
    const node = await start(join(dir, 'a', 'b'), ALWAYS);
    await node.ask(['SET', 'a', '1']);
    expect(existsSync(join(dir, 'a', 'b', 'appendonlydir'))).toBe(true);
  });

  it('of the log that is a file is refused', async () => {
    mkdirSync(dir, { recursive: true });

    writeFileSync(join(dir, 'appendonlydir'), '');
    const node = await DurableNode.spawn(dir, ALWAYS);
    nodes.push(node);
    expect(await node.end()).toBe(1);
    expect(node.errors).toMatch(/^millrace: .*appendonlydir.*\n$/);
    expect(statSync(join(dir, 'appendonlydir')).size).toBe(0);
  });

  it('of the log that is a file is told to who asks for a log', async () => {
    const node = await start(dir, []);
    const client = await node.connect();
    writeFileSync(join(dir, 'appendonlydir'), '');
    expect(await client.run('CONFIG', 'SET', 'appendonly', 'yes')).toBe(
      "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check server logs.\r\n",
    );
    expect(await client.run('CONFIG', 'GET', 'appendonly')).toContain('no');
    rmSync(join(dir, 'appendonlydir'));
    expect(await client.run('CONFIG', 'SET', 'appendonly', 'yes')).toBe('+OK\r\n');
    expect(await client.run('INFO', 'persistence')).toContain('aof_enabled:1');
  });
});

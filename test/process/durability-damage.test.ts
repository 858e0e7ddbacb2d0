/**
 * Starting on a directory that is not as it was left: a torn end, flipped bits, missing files, another process in it; what
 * `--repair` says and does about it, and what `export-rdb` makes of a directory.
 */
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DurableNode, until } from '../support/durability-node.ts';
import { RedisServer, redisAvailable } from '../support/redis.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
const LOGGED = ['--appendonly', 'yes', '--appendfsync', 'always'];
const TIMEOUT = 60_000;

let dir = '';
const nodes: DurableNode[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-damage-'));
});

afterEach(async () => {
  for (const node of nodes.splice(0)) await node.kill();
  rmSync(dir, { recursive: true, force: true });
});

async function start(...flags: string[]): Promise<DurableNode> {
  const node = await DurableNode.start(dir, [...LOGGED, ...flags]);
  nodes.push(node);
  return node;
}

/** The exit code and the output of a start that is refused. */
async function refused(): Promise<{ code: number | null; errors: string }> {
  const node = await DurableNode.spawn(dir, LOGGED);
  nodes.push(node);
  const code = await node.end();
  return { code, errors: node.errors };
}

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8', timeout: TIMEOUT });
}

/** Runs a node until it has written 200 keys, and kills it. */
async function fill(): Promise<void> {
  const node = await start();
  const sets = Array.from({ length: 200 }, (_, i) => ['SET', `key:${i}`, `value ${i} `.repeat(5)]);
  for (let i = 0; i < sets.length; i += 20) await node.ask(...sets.slice(i, i + 20));
  await node.kill();
}

function logFiles(): string[] {
  const path = join(dir, 'appendonlydir');
  return readdirSync(path)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => join(path, name));
}

/** Changes one bit of a file, in the middle of this text. */
function flip(path: string, text: string): number {
  const bytes = readFileSync(path);
  const at = bytes.indexOf(text);
  expect(at).toBeGreaterThan(0);
  bytes[at] ^= 1;
  writeFileSync(path, bytes);
  return at;
}

/** Everything in the directory but the lock, byte for byte. */
function contents(): Map<string, string> {
  const names = readdirSync(dir, { recursive: true, withFileTypes: true });
  const files = names.filter((name) => name.isFile() && !name.name.startsWith('millrace.lock'));
  return new Map(files.map(({ parentPath, name }) => [name, readFileSync(join(parentPath, name), 'latin1')]));
}

async function keysOf(node: DurableNode): Promise<string> {
  return (await node.ask(['DBSIZE']))[0];
}

describe('a log that was switched on while the node ran', () => {
  it(
    'is there when INFO says that no rewrite is scheduled or under way, and is not thrown away when its snapshot is gone',
    async () => {
      const node = await DurableNode.start(dir, ['--appendfsync', 'always']);
      nodes.push(node);
      await node.ask(['SET', 'before', '1'], ['CONFIG', 'SET', 'appendonly', 'yes']);
      await until('the log is there', async () => {
        const [info] = await node.ask(['INFO', 'persistence']);
        return info.includes('aof_rewrite_in_progress:0') && info.includes('aof_rewrite_scheduled:0');
      });
      await node.ask(['SET', 'after', '2']);
      await node.kill();
      const again = await start();
      expect(await again.ask(['MGET', 'before', 'after'])).toEqual(['*2\r\n$1\r\n1\r\n$1\r\n2\r\n']);
      await again.kill();
      for (const name of readdirSync(dir)) if (name.endsWith('.mrs')) unlinkSync(join(dir, name));
      const { code, errors } = await refused();
      expect(code).toBe(1);
      expect(errors).toMatch(/the snapshot that covers what is between is missing, or .*Put back what is missing/);
    },
    TIMEOUT,
  );
});

describe('a directory that is not as it was left', () => {
  it(
    'starts on a torn end, says what it cut, and has everything before it',
    async () => {
      await fill();
      const [path] = logFiles();
      const bytes = readFileSync(path);
      const end = bytes.lastIndexOf('value 199 ') + 60;
      // Half a record more, as an interrupted write leaves it.
      truncateSync(path, Math.ceil(end / 8) * 8);
      appendFileSync(path, bytes.subarray(bytes.indexOf('key:0') - 40, bytes.indexOf('key:0') + 20));
      const node = await start();
      expect(await keysOf(node)).toBe(':200\r\n');
      expect(node.output).toMatch(/the log ended in the middle of a write: \d+ bytes at \d+ of .*\.log were cut off/);
    },
    TIMEOUT,
  );

  it(
    'refuses a flipped bit; --repair tells, --repair yes does',
    async () => {
      await fill();
      const [path] = logFiles();
      flip(path, 'value 100 ');
      const before = contents();
      const { code, errors } = await refused();
      expect(code).toBe(1);
      expect(errors).toMatch(/^millrace: the log is damaged: .*, in .*\.log at offset \d+\. .*--repair.*\n$/);
      expect(errors).toContain(path);
      expect(contents()).toEqual(before);

      const plan = run('--dir', dir, '--repair');
      expect(plan.status).toBe(1);
      expect(plan.stdout).toContain(`in ${path} at offset`);
      expect(plan.stdout).toContain('What would be lost:\n- entries ');
      expect(contents()).toEqual(before);

      const repair = run('--dir', dir, '--repair', 'yes');
      expect([repair.status, repair.stderr]).toEqual([0, '']);
      expect(existsSync(`${path}.damaged`)).toBe(true);
      const whole = run('--dir', dir, '--repair');
      expect(whole.status).toBe(0);
      const node = await start();
      const kept = Number((await keysOf(node)).slice(1));
      expect(kept).toBeGreaterThanOrEqual(80);
      expect(kept).toBeLessThanOrEqual(100);
      expect((await node.ask(['GET', 'key:79']))[0]).toContain('value 79 value 79 ');
    },
    TIMEOUT,
  );

  it(
    'refuses a log with a segment missing',
    async () => {
      // Each start begins a segment.
      for (let i = 0; i < 3; i++) {
        const node = await start();
        await node.ask(['SET', `key:${i}`, 'x']);
        await node.kill();
      }
      const [, second] = logFiles();
      unlinkSync(second);
      const { code, errors } = await refused();
      expect(code).toBe(1);
      expect(errors).toMatch(
        /^millrace: the log is damaged: segment 2 is missing, and segment 3 is there, in .*--repair/,
      );
    },
    TIMEOUT,
  );

  it(
    'refuses a damaged snapshot, and says which',
    async () => {
      const node = await start();
      const sets = Array.from({ length: 500 }, (_, i) => ['SET', `key:${i}`, `value ${i}`]);
      await node.ask(...sets, ['BGREWRITEAOF']);
      await until('the snapshot is over', () => node.output.includes(': 500 keys'));
      await node.kill();
      const name = readdirSync(dir).find((each) => each.endsWith('.mrs')) as string;
      const path = join(dir, name);
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1] ^= 4;
      writeFileSync(path, bytes);
      const { code, errors } = await refused();
      expect(code).toBe(1);
      expect(errors).toContain(path);
      expect(errors).toContain('Restore the file');
      expect(errors.trim().split('\n')).toHaveLength(1);
      const plan = run('--dir', dir, '--repair');
      expect(plan.status).toBe(1);
      expect(plan.stdout).toContain(path);
    },
    TIMEOUT,
  );

  it(
    'keeps a second process out, and tells which is in',
    async () => {
      const node = await start();
      await node.ask(['SET', 'a', '1']);
      const before = contents();
      const { code, errors } = await refused();
      expect(code).toBe(1);
      expect(errors).toMatch(/^millrace: the directory .* is in use by process \d+ \(.*\)\n$/);
      expect(errors).toContain(`process ${node.child.pid} `);
      expect(run('--dir', dir, '--repair').stdout).toContain(`in use by process ${node.child.pid} `);
      expect(contents()).toEqual(before);
      expect(await node.ask(['GET', 'a'])).toEqual(['$1\r\n1\r\n']);
      await node.kill();
      expect(await (await start()).ask(['GET', 'a'])).toEqual(['$1\r\n1\r\n']);
    },
    TIMEOUT,
  );

  it.runIf(redisAvailable)(
    'is exported as a file that redis-server loads',
    async () => {
      const node = await start();
      await node.ask(['SET', 'a', 'first'], ['RPUSH', 'l', '1', '2'], ['PEXPIREAT', 'l', '4000000000000']);
      await node.ask(['BGREWRITEAOF']);
      await until('the snapshot is over', () => node.output.includes(': 2 keys'));
      await node.ask(['SET', 'a', 'second'], ['ZADD', 'z', '1.5', 'm'], ['SELECT', 3], ['HSET', 'h', 'f', 'v']);
      await node.kill();
      const file = join(dir, 'out.rdb');
      const exported = run('export-rdb', '--dir', dir, file);
      expect([exported.status, exported.stderr]).toEqual([0, '']);
      expect(exported.stdout).toMatch(/out\.rdb: 4 keys, \d+ bytes\n$/);
      const check = spawnSync('redis-check-rdb', [file], { encoding: 'utf8' });
      expect([check.status, check.stdout]).toEqual([0, expect.stringContaining('RDB looks OK')]);
      const redis = await RedisServer.start(['--dir', dir, '--dbfilename', 'out.rdb']);
      const client = await redis.connect();
      const replies = await client.pipeline([
        ['GET', 'a'],
        ['LRANGE', 'l', 0, -1],
        ['PEXPIRETIME', 'l'],
        ['ZSCORE', 'z', 'm'],
        ['SELECT', 3],
        ['HGET', 'h', 'f'],
      ]);
      client.close();
      redis.stop();
      expect(replies).toEqual([
        '$6\r\nsecond\r\n',
        '*2\r\n$1\r\n1\r\n$1\r\n2\r\n',
        ':4000000000000\r\n',
        '$3\r\n1.5\r\n',
        '+OK\r\n',
        '$1\r\nv\r\n',
      ]);
    },
    TIMEOUT,
  );

  it.each(['no RDB at all', 'REDIS0011\xfe\x00\xfb\x01'])(
    'refuses a damaged dump.rdb, and says which, and what to do: %j',
    async (text) => {
      const path = join(dir, 'dump.rdb');
      writeFileSync(path, text, 'latin1');
      const { code, errors } = await refused();
      expect(code).toBe(1);
      expect(errors).toContain(path);
      expect(errors).toContain('Restore the file');
    },
    TIMEOUT,
  );

  it('is not exported over a file when there is none, or no directory', () => {
    const file = join(dir, 'precious.rdb');
    writeFileSync(file, 'precious');
    const typo = join(dir, 'typo');
    mkdirSync(join(dir, 'appendonlydir'));
    for (const [name, text] of [
      [typo, `there is no directory '${typo}'`],
      [dir, `the directory '${dir}' holds no data`],
    ]) {
      const { status, stderr } = run('export-rdb', '--dir', name, file);
      expect([status, stderr]).toEqual([1, `millrace: ${text}\n`]);
    }
    expect(readFileSync(file, 'latin1')).toBe('precious');
    expect(existsSync(typo)).toBe(false);
  });

  it('says so when export-rdb has no file', () => {
    const { status, stderr } = run('export-rdb', '--dir');
    expect([status, stderr]).toEqual([1, 'millrace: export-rdb needs the name of a file to write\n']);
  });
});

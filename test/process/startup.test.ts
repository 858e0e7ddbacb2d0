/** How a node's process starts and ends: what it says, what it refuses, and its exit code. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { Arg } from '../support/engine.ts';
import { TestNode } from '../support/node.ts';
import { freePort, RawClient, waitForPort } from '../support/redis.ts';
import { decodeList } from '../support/replies.ts';

const MAIN = fileURLToPath(new URL('../../net/main.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = Date.now() + 10_000;
  while (!condition() && Date.now() < giveUpAt) await sleep(10);
}

describe('the process', () => {
  async function exitOf(node: TestNode): Promise<number | null> {
    await until(() => !node.running);
    return node.child.exitCode;
  }

  it('ends with SHUTDOWN, after the replies before it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-'));
    const node = await TestNode.start('--dir', dir, '--save-format', 'rdb');
    await until(() => node.output.includes('Ready'));
    const client = await node.connect();
    // No file can take the name of a directory.
    mkdirSync(join(dir, 'dump.rdb'));
    expect(await client.run('shutdown', 'save')).toBe('-ERR Errors trying to SHUTDOWN. Check logs.\r\n');
    expect(await client.run('ping')).toBe('+PONG\r\n');
    expect(await client.run('shutdown', 'abort')).toBe('-ERR No shutdown in progress.\r\n');
    const replies = client.pipeline([
      ['set', 'a', '1'],
      ['shutdown', 'nosave'],
      ['get', 'a'],
    ]);
    await expect(replies).rejects.toThrow('connection closed');
    expect(await exitOf(node)).toBe(0);
    expect(node.output).toMatch(/SHUTDOWN by client 127\.0\.0\.1:\d+: shutting down/);
    node.stop();
    rmSync(dir, { recursive: true });
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends on %s', async (signal) => {
    const node = await TestNode.start();
    node.child.kill(signal);
    expect(await exitOf(node)).toBe(0);
    expect(node.output).toContain(`Received ${signal}: shutting down`);
    node.stop();
  });

  it.each(['SIGHUP', 'SIGUSR1'] as const)('goes on after %s, without a debugger', async (signal) => {
    const node = await TestNode.start();
    const client = await node.connect();
    node.child.kill(signal);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await client.run('ping')).toBe('+PONG\r\n');
    expect(node.output).not.toContain('Debugger');
    client.close();
    node.stop();
  });

  it('says what it is when it starts', async () => {
    const node = await TestNode.start('--maxmemory', '1gb', '--maxmemory-policy', 'allkeys-lru');
    await until(() => node.output.includes('Ready'));
    const version = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
    expect(node.output).toContain(
      `Millrace ${version}, commands of Redis 7.0.15, Node ${process.versions.node}, pid ${node.child.pid}`,
    );
    expect(node.output).toContain('16 shards');
    expect(node.output).toContain('maxmemory 1.00G (allkeys-lru)');
    expect(node.output).toContain(`Ready to accept connections: port ${node.port} of 127.0.0.1 -::1`);
    node.stop();
  });

  it('lowers maxclients to what the system allows, and says so', async () => {
    const node = await TestNode.start('--maxclients', '4000000000');
    expect(node.output).toMatch(/maxclients is \d+ instead of 4000000000/);
    const client = await node.connect();
    expect(await client.run('config', 'set', 'maxclients', '4000000000')).toMatch(
      /^-ERR CONFIG SET failed \(possibly related to argument 'maxclients'\) - The operating system is not able to handle the specified number of clients, try with \d+\r\n$/,
    );
    client.close();
    node.stop();
  });

  it.each([
    [['--prot', '1'], "unknown option 'prot' on the command line; did you mean 'port'?"],
    [['--port', 'x'], "bad value 'x' for 'port' on the command line: it takes a whole number from 0 to 65535"],
    [['--port', '0', '--dir', '/proc/no/such'], "cannot use the directory '/proc/no/such': No such file or directory"],
    [
      ['--port', '0', '--logfile', '/no/such/log'],
      "cannot write the log file '/no/such/log': No such file or directory",
    ],
    [
      ['--peer-tls-cert', 'node.crt', '--leader-lease', 'yes'],
      'peer-tls-cert and leader-lease: only for a node of a group, so give initial-cluster or join too',
    ],
    [['/no/such/file'], "cannot read the config file '/no/such/file': No such file or directory"],
  ])('does not start with %j: one line and exit code 1', (args, line) => {
    const { status, stderr } = spawnSync(NODE, [MAIN, ...args], { encoding: 'utf8', timeout: 15_000 });
    expect([status, stderr]).toEqual([1, `millrace: ${line}\n`]);
  });

  it('does not start on a port that is taken', async () => {
    const node = await TestNode.start();
    const second = spawnSync(NODE, [MAIN, '--port', String(node.port)], { encoding: 'utf8', timeout: 15_000 });
    expect([second.status, second.stderr]).toEqual([
      1,
      `millrace: cannot listen: address already in use 127.0.0.1:${node.port}\n`,
    ]);
    node.stop();
  });

  it.each([
    [
      ['--peer-tls-cert', 'node.crt'],
      'peer-tls-cert, peer-tls-key and peer-tls-ca go together: peer-tls-key and peer-tls-ca not set',
    ],
    [
      ['--peer-tls-cert', 'none.crt', '--peer-tls-key', 'none.key', '--peer-tls-ca', 'none.ca'],
      "cannot read the file 'none.key' of peer-tls-key: No such file or directory",
    ],
  ])('does not start with %s', async (flags, text) => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-tls-'));
    const [port, peerPort] = [await freePort(), await freePort()];
    const group = ['--name', 'n1', '--initial-cluster', `n1=127.0.0.1:${peerPort}`];
    const args = [MAIN, '--port', String(port), '--dir', dir, ...group, ...flags];
    const { status, stderr } = spawnSync(NODE, args, { encoding: 'utf8', timeout: 15_000 });
    expect([status, stderr]).toEqual([1, `millrace: ${text}\n`]);
    rmSync(dir, { recursive: true });
  });

  it('reads its configuration from a standard input that does not wait for it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-'));
    const path = join(dir, 'fifo');
    execFileSync('mkfifo', [path]);
    const input = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = openSync(path, 'w');
    const child = spawn(NODE, [MAIN, '-'], { stdio: [input, 'ignore', 'pipe'] });
    // Whatever shares the pipe decides whether it waits: the child was given one that does, this makes it one that does not.
    const sharing = new Socket({ fd: input, readable: false });
    let error = '';
    child.stderr?.on('data', (bytes) => {
      error += bytes;
    });
    const ended = once(child, 'close');
    // It begins to read some time in between.
    writeSync(output, 'port 1\nprot');
    await sleep(2000);
    writeSync(output, ' 2\n');
    closeSync(output);
    expect(await ended).toEqual([1, null]);
    expect(error).toBe("millrace: unknown option 'prot' in standard input line 2; did you mean 'port'?\n");
    sharing.destroy();
    rmSync(dir, { recursive: true });
  });

  it('says in one line why it cannot read its configuration', () => {
    const input = openSync(tmpdir(), 'r');
    const { status, stderr } = spawnSync(NODE, [MAIN, '-'], { encoding: 'utf8', stdio: [input, 'ignore', 'pipe'] });
    closeSync(input);
    expect([status, stderr]).toEqual([
      1,
      'millrace: cannot read the configuration from standard input: Illegal operation on a directory\n',
    ]);
  });

  it('answers --help and --version', () => {
    const help = spawnSync(NODE, [MAIN, '--help'], { encoding: 'utf8' });
    expect([help.status, help.stderr]).toEqual([0, '']);
    expect(help.stdout).toMatch(/^Millrace .*\n\nUsage: millrace /);
    expect(help.stdout).toContain('--maxmemory-policy <');
    expect(spawnSync(NODE, [MAIN, '--version'], { encoding: 'utf8' }).stdout).toMatch(/^millrace \S+ \(node 22\./);
  });

  it('keeps what CONFIG SET changed in its file by CONFIG REWRITE', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'millrace-config-'));
    const file = join(dir, 'millrace.conf');
    const port = await freePort();
    writeFileSync(file, `# our own\nport ${port}\nmaxmemory 100mb\n`);
    const ask = async (...commands: Arg[][]): Promise<string[]> => {
      const child = spawn(NODE, [MAIN, file, '--dir', dir], { stdio: 'ignore' });
      await waitForPort(port);
      const client = await RawClient.connect(port);
      const replies = await client.pipeline(commands);
      client.close();
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      return replies;
    };
    const replies = await ask(['config', 'set', 'maxmemory', '200mb', 'timeout', '7'], ['config', 'rewrite']);
    expect(replies).toEqual(['+OK\r\n', '+OK\r\n']);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain(`# our own\nport ${port}\nmaxmemory 209715200\n`);
    expect(text).toContain('\ntimeout 7\n');
    const [reply] = await ask(['config', 'get', 'timeout', 'maxmemory']);
    expect(decodeList(reply)).toEqual(['timeout', '7', 'maxmemory', '209715200']);
    rmSync(dir, { recursive: true, force: true });
  });
});

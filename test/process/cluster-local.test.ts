/** The runner of local clusters: nodes that serve, a line for each, and none left when it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { Clerk } from '../../net/client/index.ts';
import { sleep } from '../support/cluster.ts';
import { freePort } from '../support/redis.ts';

const SCRIPT = fileURLToPath(new URL('../../net/cluster-local.ts', import.meta.url));
const NODE = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url));
const WAIT_MS = 60_000;

let child: ChildProcess | undefined;
let output = '';
const dir = mkdtempSync(join(tmpdir(), 'millrace-local-'));

afterEach(() => {
  child?.kill('SIGTERM');
  rmSync(dir, { recursive: true, force: true });
});

function run(...args: string[]): ChildProcess {
  output = '';
  const started = spawn(NODE, [SCRIPT, '--dir', dir, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [started.stdout, started.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString();
    });
  }
  child = started;
  return started;
}

function ended(process: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => process.once('close', resolve));
}

/** A port that is free, as are those behind it and those of their peers, as far as can be told. */
async function portOfThree(): Promise<number> {
  for (;;) {
    const port = (await freePort()) % 20_000;
    if (port > 2000) return port + 2000;
  }
}

describe('a local cluster', () => {
  it('serves, shows who leads, and leaves nothing running', async () => {
    const port = await portOfThree();
    const runner = run(
      '--port',
      String(port),
      '--arena-size',
      '64mb',
      '--shards',
      '2',
      '--workers',
      '1',
      '--appendonly',
      'yes',
    );
    for (const until = Date.now() + WAIT_MS; !/^n\d .* leader /m.test(output); await sleep(50)) {
      if (Date.now() > until || runner.exitCode !== null) throw new Error(output);
    }
    expect(output).toContain(`redis-cli -p ${port}`);
    const clerk = new Clerk({ nodes: [`127.0.0.1:${port + 2}`], timeoutMs: WAIT_MS });
    await clerk.put('k', 'v');
    expect(await clerk.get('k')).toBe('v');
    clerk.close();
    expect(existsSync(join(dir, 'n3', 'node.log'))).toBe(true);
    runner.kill('SIGINT');
    expect(await ended(runner)).toBe(0);
    for (let i = 0; i < 3; i++) {
      const rest = new Clerk({ nodes: [`127.0.0.1:${port + i}`], timeoutMs: 200 });
      await expect(rest.get('k')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      rest.close();
    }
  }, 120_000);

  it('tells mistakes, and where nodes that cannot start say why', async () => {
    expect(await ended(run('--nodes', '0'))).toBe(1);
    expect(output).toContain("--nodes takes a whole number from 1 to 9, not '0'");
    expect(await ended(run('--help'))).toBe(0);
    expect(output).toContain('--wipe');
    expect(await ended(run('--nodes', '1', '--port', String(await portOfThree()), '--nosuchflag', 'x'))).toBe(1);
    expect(output).toContain('all nodes have ended (1)');
  }, 60_000);
});

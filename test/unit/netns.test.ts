/** The network between namespaces carries and swallows as told. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { available, Netns, unavailable } from '../support/netns.ts';

const PORT = 7777;
/** Says back what it hears; and connects to others when told so on its input: prints `open`, then each answer. */
const SCRIPT = `
  const net = require('node:net');
  net.createServer((s) => { s.on('error', () => {}); s.pipe(s); }).listen(${PORT}, () => console.log('ready'));
  let out;
  process.stdin.on('data', (d) => {
    const [what, to] = String(d).trim().split(' ');
    if (what === 'connect') {
      out = net.connect(${PORT}, to, () => console.log('open'));
      out.on('data', (b) => console.log('got ' + b));
      out.on('error', (e) => console.log(e.code));
      out.on('close', () => console.log('closed'));
    } else out.write(to);
  });
`;

describe.skipIf(!available)(`namespaces${available ? '' : ` (skipped: ${unavailable})`}`, () => {
  let netns: Netns;
  let nodes: ChildProcess[];
  const said: string[][] = [[], [], []];

  beforeAll(async () => {
    netns = new Netns(3);
    nodes = netns.addresses.map((_, i) => {
      const [command, ...args] = [...netns.inside(i), process.execPath, '-e', SCRIPT];
      const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      child.stdout!.on('data', (data) => said[i].push(...String(data).trim().split('\n')));
      return child;
    });
    await until(() => said.every((lines) => lines.includes('ready')));
  });

  afterAll(() => {
    for (const node of nodes) node.kill('SIGKILL');
    netns.close();
    expect(spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout).not.toContain(netns.inside(0).at(-1));
  });

  async function until(holds: () => boolean, ms = 3000): Promise<boolean> {
    for (const end = Date.now() + ms; Date.now() < end; ) {
      if (holds()) return true;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return false;
  }

  function tell(i: number, text: string): void {
    said[i].length = 0;
    nodes[i].stdin!.write(text);
  }

  it('are reached from here, and reach each other', async () => {
    for (const address of netns.addresses) {
      const socket = net.connect(PORT, address, () => socket.write('x'));
      expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toBe('x');
      socket.destroy();
    }
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ]) {
      tell(from, `connect ${netns.addresses[to]}`);
      expect(await until(() => said[from].includes('open'))).toBe(true);
    }
  });

  it('a blackhole swallows in one direction or both, without a word; connections go on behind it', async () => {
    tell(0, 'send a');
    expect(await until(() => said[0].includes('got a'))).toBe(true);
    netns.blackhole(1, 0);
    tell(0, 'send b');
    expect(await until(() => said[0].length > 0, 300)).toBe(false);
    netns.heal(1, 0);
    expect(await until(() => said[0].includes('got b'))).toBe(true);
    netns.isolate(0);
    tell(0, 'send c');
    expect(await until(() => said[0].length > 0, 300)).toBe(false);
    tell(1, 'send c');
    expect(await until(() => said[1].includes('got c'))).toBe(true);
    netns.healAll();
    expect(await until(() => said[0].includes('got c'))).toBe(true);
  });

  it('new connections into a blackhole neither come about nor fail', async () => {
    netns.blackhole(2, 1);
    tell(1, `connect ${netns.addresses[2]}`);
    expect(await until(() => said[1].length > 0, 300)).toBe(false);
    netns.healAll();
    expect(await until(() => said[1].includes('open'))).toBe(true);
  });
});

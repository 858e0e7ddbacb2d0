/**
 * What kill -9 may take with appendfsync everysec and no, and when appendonly is switched while the node runs.
 *
 * A write is acknowledged when it is in memory; at the end of the turn it goes to the log's writer thread, which looks for
 * more every 2 ms and hands what there is to the system. A process that is killed takes only what had not got so far: the
 * last few turns, and never something from the middle. (A loss of power may take the last second, or more with `no`.)
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Load } from '../support/durability-load.ts';
import { DurableNode, sleep, until } from '../support/durability-node.ts';
import { killRounds } from '../support/durability-rounds.ts';
import { MODES } from '../support/node.ts';

const TIMEOUT = 120_000;
/** Far more than the few milliseconds it takes: other processes may hold the processors. */
const WINDOW_MS = 1500;

describe('kill -9 without a sync for each write', () => {
  it.each([
    ['everysec', 'auto'],
    ['no', 'ring'],
  ])(
    'leaves a beginning of what each connection wrote: appendfsync %s, dispatch %s',
    async (policy, mode) => {
      const flags = ['--appendonly', 'yes', '--appendfsync', policy, '--dispatch', mode];
      const done = await killRounds({ flags, rounds: 2, seed: 90, windowMs: WINDOW_MS });
      expect(done.problems).toEqual([]);
      expect(done.answered).toBeGreaterThan(100);
    },
    TIMEOUT,
  );
});

describe('appendonly switched while the node runs', () => {
  it.each(MODES)(
    'nothing is missing that was acknowledged after the first snapshot was over: dispatch %s',
    async (mode) => {
      const dir = mkdtempSync(join(tmpdir(), 'millrace-switch-'));
      const flags = ['--appendfsync', 'always', '--dispatch', mode];
      let node = await DurableNode.start(dir, flags);
      const load = new Load(4, 7);
      try {
        await load.start(() => node.connect());
        const client = await node.connect();
        const set = async (value: string): Promise<void> => {
          expect(await client.run('CONFIG', 'SET', 'appendonly', value)).toBe('+OK\r\n');
        };
        /** What is acknowledged from then on has to be there after a kill. */
        const isWorthSomething = async (): Promise<boolean> => {
          const info = await client.run('INFO', 'persistence');
          return ['aof_enabled:1', 'aof_rewrite_scheduled:0', 'aof_rewrite_in_progress:0'].every((line) =>
            info.includes(line),
          );
        };
        await sleep(100);
        // Faster than a log can begin and end, with a snapshot in between.
        await set('yes');
        await set('no');
        await client.run('BGSAVE');
        await set('yes');
        await sleep(50);
        await client.run('BGSAVE');
        await set('no');
        await sleep(100);
        await set('yes');
        await until('the first snapshot with a log is over', isWorthSomething);
        await sleep(100);
        client.close();
        const crashedAt = performance.now();
        await node.kill();
        await load.over();
        node = await DurableNode.start(dir, [...flags, '--appendonly', 'yes']);
        const verdict = await load.judge(await node.connect(), crashedAt);
        expect(verdict.problems).toEqual([]);
        expect(verdict.answered).toBeGreaterThan(50);
      } finally {
        await node.kill();
        rmSync(dir, { recursive: true, force: true });
      }
    },
    TIMEOUT,
  );

  it(
    'what waited for the log is told when it ends, and is in it',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'millrace-switch-'));
      const flags = ['--appendonly', 'yes', '--appendfsync', 'always'];
      let node = await DurableNode.start(dir, flags);
      try {
        const [writer, other] = [await node.connect(), await node.connect()];
        const replies = Promise.all([
          writer.pipeline([
            ['SET', 'a', '1'],
            ['INCR', 'n'],
          ]),
          other.run('CONFIG', 'SET', 'appendonly', 'no'),
        ]);
        expect(await replies).toEqual([['+OK\r\n', ':1\r\n'], '+OK\r\n']);
        await until('the log is closed', async () =>
          (await other.run('INFO', 'persistence')).includes('aof_enabled:0'),
        );
        await sleep(100);
        await node.kill();
        node = await DurableNode.start(dir, flags);
        expect(await node.ask(['GET', 'a'], ['GET', 'n'])).toEqual(['$1\r\n1\r\n', '$1\r\n1\r\n']);
      } finally {
        await node.kill();
        rmSync(dir, { recursive: true, force: true });
      }
    },
    TIMEOUT,
  );

  it(
    'what waits for a snapshot has it, though a log begins meanwhile',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'millrace-switch-'));
      const node = await DurableNode.start(dir, ['--appendonly', 'no', '--save', '']);
      try {
        const [saver, other] = [await node.connect(), await node.connect()];
        const pairs = (from: number): string[] =>
          Array.from({ length: 4000 }, (_, i) => (i % 2 === 0 ? `key:${from + i}` : 'value'));
        for (let i = 0; i < 50; i++) await other.run('MSET', ...pairs(4000 * i));
        const [, , saved] = await Promise.all([
          other.run('BGREWRITEAOF'),
          sleep(5).then(() => other.run('CONFIG', 'SET', 'appendonly', 'yes')),
          saver.run('SAVE'),
        ]);
        expect(saved).toBe('+OK\r\n');
      } finally {
        await node.kill();
        rmSync(dir, { recursive: true, force: true });
      }
    },
    TIMEOUT,
  );

  it(
    'nobody waits for the log once appendfsync is not always any more',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'millrace-switch-'));
      const node = await DurableNode.start(dir, ['--appendonly', 'yes', '--appendfsync', 'always']);
      try {
        const [writer, other] = [await node.connect(), await node.connect()];
        for (let i = 0; i < 20; i++) {
          for (const policy of ['no', 'everysec']) {
            const replies = Promise.all([
              writer.pipeline([
                ['SET', 'a', '1'],
                ['GET', 'a'],
              ]),
              other.run('CONFIG', 'SET', 'appendfsync', policy),
            ]);
            expect(await replies).toEqual([['+OK\r\n', '$1\r\n1\r\n'], '+OK\r\n']);
            expect(await other.run('CONFIG', 'SET', 'appendfsync', 'always')).toBe('+OK\r\n');
          }
        }
      } finally {
        await node.kill();
        rmSync(dir, { recursive: true, force: true });
      }
    },
    TIMEOUT,
  );
});

/** What a node starts itself again for: huge pages, where the system lets processes ask for them, and V8's threads. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { TestNode } from '../support/node.ts';

/** Of the transparent huge pages of this system: always, madvise or never; undefined on other systems. */
function mode(): string | undefined {
  try {
    return /\[(\w+)\]/.exec(readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

async function hugeKilobytes(): Promise<number> {
  const node = await TestNode.start('--shards', '1');
  try {
    const client = await node.connect();
    const value = 'x'.repeat(1024);
    const commands = Array.from({ length: 16_000 }, (_, i) => ['set', `key:${i}`, value]);
    for (let from = 0; from < commands.length; from += 1000) await client.pipeline(commands.slice(from, from + 1000));
    client.close();
    const rollup = readFileSync(`/proc/${node.child.pid}/smaps_rollup`, 'latin1');
    return Number(/AnonHugePages:\s+(\d+) kB/.exec(rollup)?.[1]);
  } finally {
    node.stop();
  }
}

describe.skipIf(mode() !== 'madvise')('the memory of a node', () => {
  it('is in huge pages, as the process that was started', async () => {
    expect(await hugeKilobytes()).toBeGreaterThan(8 * 1024);
  });

  it('is in small ones when GLIBC_TUNABLES says so', async () => {
    process.env.GLIBC_TUNABLES = 'glibc.malloc.hugetlb=0';
    try {
      expect(await hugeKilobytes()).toBeLessThan(8 * 1024);
    } finally {
      delete process.env.GLIBC_TUNABLES;
    }
  });
});

async function poolOptions(): Promise<string[]> {
  const node = await TestNode.start();
  try {
    const words = readFileSync(`/proc/${node.child.pid}/cmdline`, 'latin1').split('\0');
    return words.filter((word) => word.startsWith('--v8-pool-size'));
  } finally {
    node.stop();
  }
}

describe.skipIf(process.platform !== 'linux' || process.execve === undefined)("V8's threads", () => {
  it('are half as many as processors, four at the most', async () => {
    const half = Math.max(1, Math.floor(availableParallelism() / 2));
    expect(await poolOptions()).toEqual(half < 4 ? [`--v8-pool-size=${half}`] : []);
  });

  it('are as many as NODE_OPTIONS says', async () => {
    process.env.NODE_OPTIONS = '--v8-pool-size=3';
    try {
      expect(await poolOptions()).toEqual([]);
    } finally {
      delete process.env.NODE_OPTIONS;
    }
  });
});

/** The rows of the command table against what redis-server says of the same commands: COMMAND INFO and COMMAND DOCS. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommandRow, FLAG_NAMES } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';
import { type Decoded, decodeList } from '../support/replies.ts';

/** Categories that follow from the group. Redis puts generic commands into `keyspace` one by one, and so do the rows. */
const GROUP_CATEGORY: Record<string, string> = { 'sorted-set': 'sortedset', generic: '', server: '' };

function flagsOf(row: CommandRow): string[] {
  return FLAG_NAMES.filter((_, bit) => (row.flags & (1 << bit)) !== 0);
}

/** The categories that a row stands for: its own and those that follow from its flags and its group. */
function categoriesOf(row: CommandRow): string[] {
  const flags = flagsOf(row);
  const derived = [GROUP_CATEGORY[row.group] ?? row.group, flags.includes('fast') ? 'fast' : 'slow'];
  if (flags.includes('write')) derived.push('write');
  if (flags.includes('readonly')) derived.push('read');
  if (flags.includes('blocking')) derived.push('blocking');
  if (flags.includes('admin')) derived.push('admin', 'dangerous');
  return [...new Set([...derived, ...(row.categories ?? [])])].filter((name) => name !== '').map((name) => `@${name}`);
}

const rows = engineRows.flatMap((row) => [row, ...(row.subcommands ?? [])]);

describe.skipIf(!redisAvailable)('command rows against redis-server', () => {
  let server: RedisServer;
  let redis: RawClient;

  beforeAll(async () => {
    server = await RedisServer.start();
    redis = await server.connect();
  });

  afterAll(() => {
    redis?.close();
    server?.stop();
  });

  it.each(rows.map((row) => [row.name, row] as const))('%s', async (name, row) => {
    const [info] = decodeList(await redis.run('command', 'info', name)) as [Decoded[]];
    const [redisName, arity, flags, first, last, step, categories] = info;
    expect({ name: redisName, arity, first, last, step }).toEqual({
      name,
      arity: String(row.arity),
      first: String(row.firstKey),
      last: String(row.lastKey),
      step: String(row.keyStep),
    });
    expect([...(flags as string[])].sort()).toEqual(flagsOf(row).sort());
    if (row.subcommands === undefined) expect([...(categories as string[])].sort()).toEqual(categoriesOf(row).sort());
    const docs = decodeList(await redis.run('command', 'docs', name));
    const fields = docs[1] as string[];
    expect(fields[fields.indexOf('since') + 1]).toBe(row.since);
    expect(fields[fields.indexOf('group') + 1]).toBe(row.group);
  });
});

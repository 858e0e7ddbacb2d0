/**
 * Every command of the table against redis-server: its row in COMMAND INFO, too few and too many arguments, and what
 * COMMAND GETKEYS finds in whole and in broken requests. Over TCP, since it is the node that puts its table together.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { Duel } from '../support/duel.ts';
import type { Arg } from '../support/engine.ts';
import { anyCommand, COMPARISON } from '../support/gen/any.ts';
import { usualOptions } from '../support/gen/server.ts';
import { TestNode } from '../support/node.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';
import { type Decoded, decodeList } from '../support/replies.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 7);
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 20);
/** Arguments that are tried beyond what a command takes. */
const MOST_ARGUMENTS = 9;
/** Called with nothing more than their name these end the connection or the server, or tell the time. */
const NOT_CALLED = ['quit', 'shutdown', 'reset'];

interface Info {
  name: string;
  arity: number;
}

function infoOf(row: Decoded): Info {
  const [name, arity] = row as string[];
  return { name, arity: Number(arity) };
}

/** The commands, and subcommands as `config|get`, of a COMMAND reply. */
function allOf(reply: string): Info[] {
  return decodeList(reply).flatMap((row) => [infoOf(row), ...(row as Decoded[][])[9].map(infoOf)]);
}

/** What COMMAND INFO tells, sets in a fixed order, notes on keys left out; subcommands are on the list themselves. */
function facts(row: Decoded): unknown {
  const [name, arity, flags, first, last, step, categories, tips, keys] = row as Decoded[];
  const specs = (keys as Decoded[][]).map((spec) => spec.slice(spec.indexOf('flags')));
  return {
    name,
    arity,
    flags: sorted(flags),
    first,
    last,
    step,
    categories: sorted(categories),
    tips: sorted(tips),
    specs,
  };
}

function sorted(list: Decoded): Decoded[] {
  return [...(list as Decoded[])].sort();
}

/** The first words of a request that calls it. */
function words({ name }: Info): string[] {
  return name.split('|');
}

describe.skipIf(!redisAvailable)('the command table against redis-server', () => {
  let node: TestNode;
  let server: RedisServer;
  let ours: RawClient;
  let theirs: RawClient;
  let duel: Duel;
  /** What both servers have. */
  let shared: Info[];

  beforeAll(async () => {
    [node, server] = await Promise.all([TestNode.start('--workers', '2'), RedisServer.start()]);
    [ours, theirs] = await Promise.all([node.connect(), server.connect()]);
    const known = new Set(allOf(await theirs.run('command')).map((info) => info.name));
    shared = allOf(await ours.run('command')).filter((info) => known.has(info.name));
    duel = new Duel([node.port, server.port], COMPARISON, [['flushall'], ...usualOptions()]);
  });

  afterAll(() => {
    ours?.close();
    theirs?.close();
    node?.stop();
    server?.stop();
  });

  it('has hardly a command that Redis does not have', async () => {
    const names = new Set(shared.map((info) => info.name));
    const more = allOf(await ours.run('command')).filter((info) => !names.has(info.name));
    // Redis 7.2's, which today's client libraries send on every connection; and those about replicas, which are our own.
    const own = more.filter(({ name }) => !/^(raft(\|.+)?|read|readfence|once|client\|consistency)$/.test(name));
    expect(own.map((info) => info.name).sort()).toEqual(['client|no-touch', 'client|setinfo']);
    expect(shared.length).toBeGreaterThan(200);
  });

  it('describes them alike', async () => {
    const names = shared.map((info) => info.name);
    const [mine, redis] = await Promise.all([ours, theirs].map((client) => client.run('command', 'info', ...names)));
    const described = decodeList(redis).map(facts);
    expect(decodeList(mine).map(facts)).toEqual(described);
  });

  it('answers too few and too many arguments alike', async () => {
    const commands: Arg[][] = [];
    for (const info of shared) {
      if (NOT_CALLED.includes(info.name)) continue;
      const named = words(info);
      const least = Math.abs(info.arity);
      for (let argc = named.length; argc < least; argc++) commands.push(fill(named, argc));
      if (info.arity > 0) commands.push(fill(named, least + 1), fill(named, least + 5));
    }
    expect(commands.length).toBeGreaterThan(400);
    await duel.run([2], [{ connection: 0, commands }], 'arity');
  });

  function fill(named: readonly string[], argc: number): Arg[] {
    return [...named, ...Array<Arg>(argc - named.length).fill('1')];
  }

  it('answers any number of arguments that mean nothing alike', async () => {
    const commands: Arg[][] = [['set', 'k', 'v']];
    for (const info of shared) {
      const named = words(info);
      // What the server itself tells is its own, and a container's HELP in its own words.
      if (NOT_CALLED.includes(info.name) || named[1] === 'help' || OWN_WORDS.test(info.name)) continue;
      for (const filler of ['x', 'k', '']) {
        for (let argc = Math.abs(info.arity) + 1; argc <= MOST_ARGUMENTS; argc++) {
          if (info.arity > 0) break;
          commands.push([...named, ...Array<Arg>(argc - named.length).fill(filler)]);
        }
      }
    }
    await duel.run([2], [{ connection: 0, commands }], 'arguments');
  });

  it('finds the same keys in requests', async () => {
    for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
      const random = new Random(seed);
      const commands: Arg[][] = [];
      while (commands.length < 300) {
        const command = anyCommand(random);
        // Redis takes the second for another option, though SORT itself takes it for a key.
        if (/\bstore,store\b/i.test(command.join())) continue;
        commands.push(['command', 'getkeys', ...command], ['command', 'getkeysandflags', ...command]);
        commands.push(['command', 'getkeys', ...command.slice(0, 1 + random.below(command.length))]);
      }
      await duel.run([2 + (seed % 2)], [{ connection: 0, commands }], `keys, seed ${seed}`);
    }
  });
});

/** Replies that differ from server to server. */
const OWN_WORDS =
  /^(info|command|debug|memory\|(doctor|malloc-stats|stats)|latency\|(doctor|histogram)|client\|(info|list)|lolwut)/;

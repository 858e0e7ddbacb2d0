/**
 * Pushes, pops and ranges on one list of 3-byte elements, as redis-benchmark makes them: in process on one thread, request
 * to reply bytes with hashing and slot, without parsing or sockets. `npm run bench:micro -- list`.
 */
import { Call } from '../../engine/call.ts';
import { type CommandRow, CommandTable } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import type { MicroBench } from '../micro.ts';

const SHARDS = 4;
const ARENA_BYTES = 256 * 1024 * 1024;
const ELEMENTS = 100_000;
/** Pushes in a call; a call begins by deleting what the last one made, so that the list always grows from nothing. */
const PUSHES = 20_000;
const RANGES = 100;

const call = new Call(Shards.create(SHARDS, ARENA_BYTES, 16, [1, 2]), new Settings());
const table = new CommandTable(engineRows);

/** One command, given once as words and run any number of times. */
class Command {
  private readonly row: CommandRow;
  private readonly words: readonly string[];
  private readonly buf: Uint8Array;

  constructor(...words: string[]) {
    this.words = words;
    this.buf = Uint8Array.from(Buffer.from(words.join('')));
    const row = table.find(this.buf, 0, words[0].length);
    if (row === undefined) throw new Error(`no command ${words[0]}`);
    this.row = row;
  }

  run(count: number): void {
    call.buf = this.buf;
    call.argc = this.words.length;
    let at = 0;
    for (let i = 0; i < this.words.length; i++) {
      call.off[i] = at;
      call.len[i] = this.words[i].length;
      at += this.words[i].length;
    }
    for (let i = 0; i < count; i++) {
      call.begin(this.row);
      call.reply.length = 0;
      this.row.run(call);
    }
  }
}

function pushes(name: string): MicroBench {
  const drop = new Command('del', 'pushed');
  const push = new Command(name, 'pushed', 'xxx');
  const fn = (): void => {
    drop.run(1);
    push.run(PUSHES);
  };
  return { name: name.toUpperCase(), operations: PUSHES, fn };
}

function pushesAndPops(push: string, pop: string): MicroBench {
  const pushing = new Command(push, 'queue', 'xxx');
  const popping = new Command(pop, 'queue');
  const fn = (): void => {
    pushing.run(PUSHES);
    popping.run(PUSHES);
  };
  return { name: `${push.toUpperCase()} then ${pop.toUpperCase()}`, operations: PUSHES * 2, fn };
}

function one(name: string, ...words: string[]): MicroBench {
  const command = new Command(...words);
  return { name, operations: RANGES, fn: () => command.run(RANGES) };
}

export default function list(): MicroBench[] {
  call.setClock(1_700_000_000_000);
  new Command('lpush', 'mylist', 'xxx').run(ELEMENTS);
  new Command('lpush', 'long', 'x'.repeat(40)).run(ELEMENTS);
  return [
    pushes('lpush'),
    pushes('rpush'),
    pushesAndPops('lpush', 'lpop'),
    pushesAndPops('lpush', 'rpop'),
    one('RPOPLPUSH', 'rpoplpush', 'mylist', 'mylist'),
    one('LINDEX in the middle', 'lindex', 'mylist', String(ELEMENTS / 2)),
    one('LRANGE_100', 'lrange', 'mylist', '0', '99'),
    one('LRANGE_300', 'lrange', 'mylist', '0', '299'),
    one('LRANGE_500', 'lrange', 'mylist', '0', '499'),
    one('LRANGE_600', 'lrange', 'mylist', '0', '599'),
    one('LRANGE_600, 40-byte elements', 'lrange', 'long', '0', '599'),
  ];
}

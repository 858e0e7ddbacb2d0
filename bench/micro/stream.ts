/**
 * Streams as redis-benchmark's `XADD mystream * myfield __data__` makes them, and ranges over one: in process on one
 * thread, request to reply bytes with hashing and slot, without parsing or sockets. `npm run bench:micro -- stream`.
 */
import { Call } from '../../engine/call.ts';
import { type CommandRow, CommandTable } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import type { MicroBench } from '../micro.ts';

const SHARDS = 4;
const ARENA_BYTES = 256 * 1024 * 1024;
const ENTRIES = 100_000;
/** Entries added in a call; a call begins by deleting what the last one made, so that the stream grows from nothing. */
const ADDED = 20_000;
const READS = 200;
const FIRST_MS = 1_700_000_000_000;

const call = new Call(Shards.create(SHARDS, ARENA_BYTES, 16, [1, 2]), new Settings());
const table = new CommandTable(engineRows);

/** One command, given once as words and run any number of times; the clock goes on by `stepMs` each time. */
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

  run(count: number, stepMs = 0): void {
    call.buf = this.buf;
    call.argc = this.words.length;
    let at = 0;
    for (let i = 0; i < this.words.length; i++) {
      call.off[i] = at;
      call.len[i] = this.words[i].length;
      at += this.words[i].length;
    }
    let nowMs = FIRST_MS;
    for (let i = 0; i < count; i++) {
      if (stepMs > 0) call.setClock((nowMs += stepMs));
      call.begin(this.row);
      call.reply.length = 0;
      this.row.run(call);
    }
  }
}

function adds(name: string, stepMs: number, ...options: string[]): MicroBench {
  const drop = new Command('del', 'added');
  const add = new Command('xadd', 'added', ...options, '*', 'myfield', '__data__');
  const fn = (): void => {
    drop.run(1);
    add.run(ADDED, stepMs);
  };
  return { name, operations: ADDED, fn };
}

function one(name: string, ...words: string[]): MicroBench {
  const command = new Command(...words);
  return { name, operations: READS, fn: () => command.run(READS) };
}

export default function stream(): MicroBench[] {
  call.setClock(FIRST_MS);
  new Command('xadd', 'mystream', '*', 'myfield', '__data__').run(ENTRIES, 1);
  const middle = String(FIRST_MS + ENTRIES / 2);
  return [
    adds('XADD', 0),
    adds('XADD, another millisecond each', 1),
    adds('XADD MAXLEN ~ 1000', 0, 'maxlen', '~', '1000'),
    adds('XADD MAXLEN 1000', 0, 'maxlen', '1000'),
    one('XLEN', 'xlen', 'mystream'),
    one('XRANGE COUNT 1 in the middle', 'xrange', 'mystream', middle, '+', 'count', '1'),
    one('XRANGE COUNT 100 in the middle', 'xrange', 'mystream', middle, '+', 'count', '100'),
    one('XREVRANGE COUNT 100 in the middle', 'xrevrange', 'mystream', middle, '-', 'count', '100'),
    one('XREAD COUNT 10', 'xread', 'count', '10', 'streams', 'mystream', middle),
  ];
}

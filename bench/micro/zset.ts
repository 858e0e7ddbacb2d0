/**
 * Sorted set commands in process on one thread: request to reply bytes with hashing and slot, without parsing or sockets.
 * `npm run bench:micro -- zset`. The sets have 12-digit members as redis-benchmark makes them, and are 60 (packed),
 * 1,000 or 1,000,000; the last do not fit the processor's caches.
 */
import { Call } from '../../engine/call.ts';
import { type CommandRow, CommandTable } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import type { MicroBench } from '../micro.ts';

const ARENA_BYTES = 512 * 1024 * 1024;
const PACKED = 60;
const SMALL = 1000;
const LARGE = 1_000_000;
const BATCH = 2000;
const DIGITS = 12;

const call = new Call(Shards.create(1, ARENA_BYTES, 16, [1, 2]), new Settings());
const table = new CommandTable(engineRows);

/** A command on one key, whose other arguments are numbers of 12 digits with or without `element:` before them. */
class Command {
  private readonly row: CommandRow;
  private readonly buf: Uint8Array;
  private readonly ranges: number[] = [];
  /** Which words are written anew for every command. */
  private readonly random: boolean[];
  private seed = 12345;

  constructor(name: string, key: string, ...forms: ('number' | 'element' | string)[]) {
    const words = [name, key];
    for (const form of forms) {
      if (form === 'number') words.push('0'.repeat(DIGITS));
      else if (form === 'element') words.push(`element:${'0'.repeat(DIGITS)}`);
      else words.push(form);
    }
    this.buf = Uint8Array.from(Buffer.from(words.join('')));
    const row = table.find(this.buf, 0, name.length);
    if (row === undefined) throw new Error(`no command ${name}`);
    this.row = row;
    let at = 0;
    for (let i = 0; i < words.length; i++) {
      this.ranges.push(at, words[i].length);
      at += words[i].length;
    }
    this.random = forms.map((form) => form === 'number' || form === 'element');
  }

  run(count: number, range: number): void {
    call.buf = this.buf;
    const words = this.ranges.length / 2;
    call.argc = words;
    for (let i = 0; i < words; i++) {
      call.off[i] = this.ranges[2 * i];
      call.len[i] = this.ranges[2 * i + 1];
    }
    for (let n = 0; n < count; n++) {
      for (let i = 2; i < words; i++) if (this.random[i - 2]) this.write(call.off[i] + call.len[i], range);
      call.begin(this.row);
      call.reply.length = 0;
      this.row.run(call);
    }
  }

  /** Writes a random number below `range` before `end`. */
  private write(end: number, range: number): void {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    let value = Math.floor((this.seed / 2 ** 32) * range);
    for (let i = 1; i <= DIGITS; i++) {
      const rest = Math.floor(value / 10);
      this.buf[end - i] = 48 + (value - rest * 10);
      value = rest;
    }
  }
}

function bench(name: string, command: Command, range: number): MicroBench {
  return { name, operations: BATCH, fn: () => command.run(BATCH, range) };
}

/** Benches on a set of about `size` members with scores and members drawn from `range` numbers. */
function onSet(key: string, size: number, label: string): MicroBench[] {
  const add = new Command('zadd', key, 'number', 'element');
  add.run(size * 2, size);
  const addNew = new Command('zadd', key, 'number', 'element');
  const popMin = new Command('zpopmin', key);
  const popMax = new Command('zpopmax', key);
  return [
    bench(`ZADD, another score, ${label}`, add, size),
    bench(`ZINCRBY, ${label}`, new Command('zincrby', key, '1', 'element'), size),
    {
      name: `ZADD of a new member, then ZPOPMIN or ZPOPMAX, ${label}`,
      operations: BATCH * 2,
      fn: () => {
        addNew.run(BATCH, 1e9);
        popMin.run(BATCH / 2, 1);
        popMax.run(BATCH / 2, 1);
      },
    },
    bench(`ZSCORE, ${label}`, new Command('zscore', key, 'element'), size),
    bench(`ZRANK, ${label}`, new Command('zrank', key, 'element'), size),
    bench(
      `ZRANGE of 10 at a rank, ${label}`,
      new Command('zrange', key, String(size >>> 2), String((size >>> 2) + 9)),
      1,
    ),
    bench(
      `ZRANGEBYSCORE LIMIT 0 10, ${label}`,
      new Command('zrangebyscore', key, 'number', 'inf', 'LIMIT', '0', '9'),
      size,
    ),
  ];
}

export default function zset(): MicroBench[] {
  call.setClock(1_700_000_000_000);
  return [
    ...onSet('packed', PACKED, `${PACKED} members`),
    ...onSet('small', SMALL, `${SMALL} members`),
    ...onSet('large', LARGE, `${LARGE} members`),
  ];
}

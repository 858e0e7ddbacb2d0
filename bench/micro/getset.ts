/**
 * SET, GET, INCR and MSET in process on one thread: request to reply bytes with hashing and slot, without parsing or
 * sockets: `npm run bench:micro -- getset`.
 */
import { Call } from '../../engine/call.ts';
import { type CommandRow, CommandTable } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { Random } from '../../engine/random.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';

const KEYS = 160_000;
/** Requests follow each other in memory, as they do in a socket's buffer, and name keys that jump about. */
const REQUESTS = 400_000;
const KEY_BYTES = 16;
const VALUE_BYTES = 16;
const REQUEST_BYTES = KEY_BYTES + VALUE_BYTES;
const SHARDS = 4;
const ARENA_BYTES = 128 * 1024 * 1024;
/** Operations per call of a benchmark's function. */
export const BATCH = 100_000;

export interface MicroBench {
  name: string;
  /** How many operations one call of `fn` makes. */
  operations: number;
  fn: () => void;
}

class Driver {
  readonly call = new Call(Shards.create(SHARDS, ARENA_BYTES, 16, [1, 2]), new Settings());
  private readonly table = new CommandTable(engineRows);
  private readonly buf = new Uint8Array(REQUESTS * REQUEST_BYTES);
  private at = 0;

  constructor() {
    const random = new Random(1);
    this.buf.fill(120);
    for (let i = 0; i < REQUESTS; i++) this.writeKey(i, i < KEYS ? i : random.below(KEYS));
    this.call.buf = this.buf;
    this.call.setClock(1_700_000_000_000);
  }

  private writeKey(request: number, key: number): void {
    const text = `key:${String(key).padStart(KEY_BYTES - 4, '0')}`;
    for (let k = 0; k < KEY_BYTES; k++) this.buf[request * REQUEST_BYTES + k] = text.charCodeAt(k);
  }

  row(name: string): CommandRow {
    const row = this.table.find(new TextEncoder().encode(name), 0, name.length);
    if (row === undefined) throw new Error(`no command ${name}`);
    return row;
  }

  /** Runs a command with the keys of the next `count` requests, and with a value if `argc` is 3. */
  run(row: CommandRow, count: number, argc: number): void {
    const call = this.call;
    call.argc = argc;
    call.len[1] = KEY_BYTES;
    call.len[2] = VALUE_BYTES;
    for (let i = 0; i < count; i++) {
      const from = this.at * REQUEST_BYTES;
      this.at = this.at + 1 < REQUESTS ? this.at + 1 : 0;
      call.off[1] = from;
      call.off[2] = from + KEY_BYTES;
      call.begin(row);
      call.reply.length = 0;
      row.run(call);
    }
  }
}

export default function getset(): MicroBench[] {
  const strings = new Driver();
  const numbers = new Driver();
  const set = strings.row('set');
  const get = strings.row('get');
  const incr = numbers.row('incr');
  strings.run(set, REQUESTS, 3);
  numbers.run(incr, REQUESTS, 2);
  return [
    { name: 'GET', operations: BATCH, fn: () => strings.run(get, BATCH, 2) },
    { name: 'SET', operations: BATCH, fn: () => strings.run(set, BATCH, 3) },
    { name: 'INCR', operations: BATCH, fn: () => numbers.run(incr, BATCH, 2) },
  ];
}

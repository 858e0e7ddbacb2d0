/**
 * Lets a thread run, before it serves anybody, what it will run later under load and has never run: keys saved while a
 * snapshot is under way. V8 compiles the way of a write for what it has seen; without this the first write of the first snapshot
 * threw that code away, in every thread, and until it was compiled anew commands took several times as long: for half a
 * second where the threads share one processor. Takes about 10 ms and leaves nothing behind.
 */
import { compactStep } from './alloc.ts';
import { Call } from './call.ts';
import { CommandTable } from './command.ts';
import { engineRows } from './commands/index.ts';
import { Settings } from './settings.ts';
import { Shards } from './shards.ts';
import { releaseChunk } from './snapshot/chunk.ts';
import { beginSnapshot, isSwept } from './snapshot/epoch.ts';
import { Saver } from './snapshot/saver.ts';
import { sweepStep } from './snapshot/sweep.ts';

const ARENA_BYTES = 1024 * 1024;
const DATABASES = 1;
const ROUNDS = 2;
const KEYS = 24;
/** Written before each snapshot, and again while it is swept. */
const WRITES = ['set', 'incr', 'rpush', 'hset', 'sadd', 'zadd'];
const ARGUMENTS: Record<string, readonly string[]> = {
  set: ['some value of a usual length'],
  incr: [],
  rpush: ['element'],
  hset: ['field', 'value'],
  sadd: ['member'],
  zadd: ['1', 'member'],
};

export function rehearse(): void {
  const shards = Shards.create(1, ARENA_BYTES, DATABASES, [1, 2]);
  const arena = shards.arenas[0];
  const call = new Call(shards, new Settings());
  const table = new CommandTable(engineRows);
  const pending = new Int32Array(new SharedArrayBuffer(4));
  const saver = new Saver((chunk) => releaseChunk(chunk, pending), pending);
  arena.saver = saver;
  const run = (...words: string[]): void => {
    const parts = words.map((word) => Buffer.from(word));
    call.buf = new Uint8Array(Buffer.concat(parts));
    call.reserveArgs(parts.length);
    call.argc = parts.length;
    for (let i = 0, at = 0; i < parts.length; at += parts[i++].length) {
      call.off[i] = at;
      call.len[i] = parts[i].length;
    }
    call.reply.length = 0;
    const row = table.resolve(call);
    if (row === undefined) throw new Error(`rehearsal: there is no command ${words[0]}`);
    call.begin(row);
    row.run(call);
    compactStep(arena);
  };
  const writeKeys = (step: number): void => {
    for (let key = 0; key < KEYS; key += step) {
      for (const name of WRITES) run(name, `${name}:${key}`, ...ARGUMENTS[name]);
    }
  };
  call.setClock(Date.now());
  for (let round = 0; round < ROUNDS; round++) {
    writeKeys(1);
    const snapshot = beginSnapshot(shards.arenas, Date.now());
    writeKeys(3);
    while (!isSwept(arena)) sweepStep(arena, saver, 4);
    saver.flush(snapshot);
    run('flushall');
  }
}

/** RDB files and payloads of an in-process engine's keys, and what to ask a server to know all that it has at a key. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Arena, Offset } from '../../engine/arena.ts';
import { expiringCount, keyCount, tableOf } from '../../engine/keyspace.ts';
import { Crc64 } from '../../engine/rdb/crc64.ts';
import { encodePair } from '../../engine/rdb/encode.ts';
import { RdbOutput } from '../../engine/rdb/output.ts';
import { RdbFileWriter } from '../../engine/rdb/write.ts';
import { keyLength, keyStart } from '../../engine/record.ts';
import { TableWalk } from '../../engine/table.ts';
import { typeName } from '../../engine/types/encoding.ts';
import type { Arg, TestEngine } from './engine.ts';

const DATABASES = 16;
/** So small that chunks of several shards come by turns. */
const CHUNK_BYTES = 4096;

/** Calls `visit` for every key of a database. */
export function eachKey(
  engine: TestEngine,
  db: number,
  visit: (a: Arena, record: Offset, key: Uint8Array) => void,
): void {
  for (const a of engine.shards.arenas) {
    const t = tableOf(a, db);
    if (t === 0) continue;
    const walk = new TableWalk();
    walk.start();
    for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) {
      visit(a, record, a.u8.slice(keyStart(a, record), keyStart(a, record) + keyLength(a, record)));
    }
  }
}

/** The chunks of all databases, of one and the other by turns. */
function chunksOf(engine: TestEngine): { db: number; bytes: Uint8Array }[] {
  const queues: { db: number; bytes: Uint8Array }[][] = [];
  for (let db = 0; db < DATABASES; db++) {
    const queue: { db: number; bytes: Uint8Array }[] = [];
    const out = new RdbOutput(new Uint8Array(new SharedArrayBuffer(16)));
    const flush = (): void => {
      if (out.length > 0) queue.push({ db, bytes: out.u8.slice(0, out.length) });
      out.length = 0;
    };
    eachKey(engine, db, (a, record) => {
      encodePair(a, record, out);
      if (out.length > CHUNK_BYTES) flush();
    });
    flush();
    queues.push(queue);
  }
  const chunks: { db: number; bytes: Uint8Array }[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    for (const queue of queues) chunks.push(...queue.splice(0, 1));
  }
  return chunks;
}

/** Writes everything that an engine has as a dump.rdb. */
export function writeRdb(engine: TestEngine, path: string): void {
  const file = openSync(path, 'w');
  const writer = new RdbFileWriter((bytes) => writeSync(file, bytes));
  writer.begin({ redisVersion: '7.0.0', createdAtSeconds: 1_700_000_000, usedBytes: 1_000_000 });
  for (let db = 0; db < DATABASES; db++) {
    let keys = 0;
    let expiring = 0;
    for (const arena of engine.shards.arenas) {
      keys += keyCount(arena, db);
      expiring += expiringCount(arena, db);
    }
    if (keys > 0) writer.size(db, keys, expiring);
  }
  for (const { db, bytes } of chunksOf(engine)) writer.items(db, bytes);
  writer.end();
  closeSync(file);
}

/** Commands whose replies tell the value of a key of this type. */
function reads(type: string, key: Arg): Arg[][] {
  switch (type) {
    case 'string':
      return [['get', key]];
    case 'list':
      return [['lrange', key, 0, -1]];
    case 'set':
      return [['smembers', key]];
    case 'hash':
      return [['hgetall', key]];
    case 'zset':
      return [['zrange', key, 0, -1, 'withscores']];
    default:
      return [
        ['xrange', key, '-', '+'],
        ['xinfo', 'stream', key],
      ];
  }
}

/** Commands whose replies, compared by `READ_COMPARISON`, tell all of a database. */
export function readAll(engine: TestEngine, db: number): Arg[][] {
  const commands: Arg[][] = [['dbsize']];
  eachKey(engine, db, (a, record, key) => {
    commands.push(['pexpiretime', key], ...reads(typeName(a, record), key));
  });
  return commands;
}

export const READ_COMPARISON = { unordered: ['smembers'], unorderedPairs: ['hgetall'] };

/** The bytes of a bulk reply. */
export function payloadOf(reply: string): Buffer {
  return Buffer.from(reply.slice(reply.indexOf('\r\n') + 2, -2), 'latin1');
}

/** A DUMP payload of these bytes, type and value: with version and checksum. */
export function sealed(body: Uint8Array, version = 10): Buffer {
  const out = new RdbOutput();
  for (const byte of body) out.byte(byte);
  out.u16(version);
  const crc = new Crc64();
  crc.update(out.u8, 0, out.length);
  out.u64(crc.high, crc.low);
  return Buffer.from(out.u8.slice(0, out.length));
}

/** Builds RDB bytes by hand, also in encodings that servers no longer write, and loads them into test engines. */
import { liveBytes, verifyAlloc } from '../../engine/alloc.ts';
import type { Arena } from '../../engine/arena.ts';
import { flushDatabase, tableOf } from '../../engine/keyspace.ts';
import { freeBuried } from '../../engine/lazyfree.ts';
import { baseBytes } from '../../engine/pages.ts';
import { type LoadOptions, loadPairs } from '../../engine/rdb/decode.ts';
import { RdbError } from '../../engine/rdb/errors.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { RdbFile, type RdbSource } from '../../engine/rdb/read.ts';
import { ENC_INTSET, recordEncoding, recordType, TYPE_HASH, TYPE_LIST, TYPE_SET } from '../../engine/record.ts';
import { TableWalk } from '../../engine/table.ts';
import { intsetVerify } from '../../engine/types/intset.ts';
import { verifyList } from '../../engine/types/list.ts';
import { packVerify } from '../../engine/types/pack.ts';
import { hasRoot } from '../../engine/values.ts';
import type { TestEngine } from './engine.ts';

/** Numbers are bytes, texts are Latin-1. */
export type Part = number | string | Uint8Array | readonly number[];

export function bytes(...parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.from([part]);
      return typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part);
    }),
  );
}

export function u16(value: number): Buffer {
  const out = Buffer.alloc(2);
  out.writeUInt16LE(value);
  return out;
}

export function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

export function i64(value: number | bigint): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigInt64LE(BigInt(value));
  return out;
}

export function f64(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return out;
}

/** A length. */
export function len(value: number | bigint): Buffer {
  if (typeof value === 'bigint' || value > 0xffffffff) {
    const out = Buffer.alloc(9);
    out[0] = 0x81;
    out.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 1);
    return out;
  }
  if (value < 64) return bytes(value);
  if (value < 16384) return bytes(0x40 | (value >>> 8), value & 255);
  const out = Buffer.alloc(5);
  out[0] = 0x80;
  out.writeUInt32BE(value, 1);
  return out;
}

/** A string as it is. */
export function str(text: Part): Buffer {
  const content = bytes(text);
  return bytes(len(content.length), content);
}

/** A string compressed as nothing but runs of literals. */
export function literals(text: string): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < text.length; at += 32) {
    const run = text.slice(at, at + 32);
    parts.push(bytes(run.length - 1, run));
  }
  const packed = bytes(...parts);
  return bytes(0xc3, len(packed.length), len(text.length), packed);
}

export type Item = string | number | bigint;

function listpackElement(item: Item): Buffer {
  let body: Buffer;
  if (typeof item !== 'string') {
    const value = BigInt(item);
    if (value >= 0n && value < 128n) body = bytes(Number(value));
    else if (value >= -4096n && value < 4096n) {
      const thirteen = Number(value) & 0x1fff;
      body = bytes(0xc0 | (thirteen >>> 8), thirteen & 255);
    } else {
      const size = [2, 3, 4, 8].find((n) => BigInt.asIntN(n * 8, value) === value) as number;
      body = bytes({ 2: 0xf1, 3: 0xf2, 4: 0xf3, 8: 0xf4 }[size] as number, i64(value).subarray(0, size));
    }
  } else if (item.length < 64) body = bytes(0x80 | item.length, item);
  else if (item.length < 4096) body = bytes(0xe0 | (item.length >>> 8), item.length & 255, item);
  else body = bytes(0xf0, u32(item.length), item);
  const back: number[] = [];
  const size = body.length;
  const backBytes = size < 128 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : size < 268435455 ? 4 : 5;
  for (let k = backBytes - 1; k >= 0; k--) back.push(((size >>> (7 * k)) & 127) | (k === backBytes - 1 ? 0 : 128));
  return bytes(body, back);
}

export function listpack(...items: readonly Item[]): Buffer {
  const content = Buffer.concat(items.map(listpackElement));
  return bytes(u32(content.length + 7), u16(Math.min(items.length, 65535)), content, 0xff);
}

function ziplistBody(item: Item): Buffer {
  if (typeof item !== 'string') {
    const value = BigInt(item);
    if (value >= 0n && value <= 12n) return bytes(0xf1 + Number(value));
    const size = [1, 2, 3, 4, 8].find((n) => BigInt.asIntN(n * 8, value) === value) as number;
    return bytes({ 1: 0xfe, 2: 0xc0, 3: 0xf0, 4: 0xd0, 8: 0xe0 }[size] as number, i64(value).subarray(0, size));
  }
  if (item.length < 64) return bytes(item.length, item);
  if (item.length < 16384) return bytes(0x40 | (item.length >>> 8), item.length & 255, item);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(item.length);
  return bytes(0x80, size, item);
}

export function ziplist(...items: readonly Item[]): Buffer {
  const entries: Buffer[] = [];
  let before = 0;
  let tail = 10;
  let at = 10;
  for (const item of items) {
    const entry = bytes(before < 254 ? before : bytes(0xfe, u32(before)), ziplistBody(item));
    entries.push(entry);
    before = entry.length;
    tail = at;
    at += before;
  }
  return bytes(u32(at + 1), u32(tail), u16(Math.min(items.length, 65535)), Buffer.concat(entries), 0xff);
}

/** `unused` bytes are left behind each value. */
export function zipmap(pairs: readonly (readonly [string, string])[], unused = 0): Buffer {
  const size = (n: number): Buffer => (n < 254 ? bytes(n) : bytes(0xfe, u32(n)));
  const entries = pairs.map(([field, value]) =>
    bytes(size(field.length), field, size(value.length), unused, value, Buffer.alloc(unused, 'x')),
  );
  return bytes(Math.min(pairs.length, 254), ...entries, 0xff);
}

export function intset(width: 2 | 4 | 8, ...integers: readonly (number | bigint)[]): Buffer {
  return bytes(u32(width), u32(integers.length), ...integers.map((value) => i64(value).subarray(0, width)));
}

/** A stream's id as the name of a node, or in a list of pending entries. */
export function rawId(time: number, sequence: number): Buffer {
  const out = Buffer.alloc(16);
  out.writeBigUInt64BE(BigInt(time), 0);
  out.writeBigUInt64BE(BigInt(sequence), 8);
  return out;
}

/** An item that sets a key. */
export function pair(type: number, key: Part, ...value: readonly Part[]): Buffer {
  return bytes(type, str(key), ...value);
}

/** A whole file, without a checksum. */
export function file(...items: readonly Part[]): Buffer {
  return bytes('REDIS0011', ...items, 0xff, Buffer.alloc(8));
}

export function load(engine: TestEngine, content: Uint8Array, options?: LoadOptions): number {
  engine.call.setClock(engine.nowMs ?? Date.now());
  engine.call.db = 0;
  const made = loadPairs(engine.call, new RdbInput(content, 0, content.length), options);
  engine.call.db = 0;
  return made;
}

/** The error that something throws, which must be an RdbError; undefined when it throws none. */
export function rdbErrorOf(run: () => void): RdbError | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof RdbError) return error;
    throw error;
  }
  return undefined;
}

/** A file in memory, which gives at most `pieceBytes` at a time. */
export function memorySource(content: Uint8Array, pieceBytes = content.length): RdbSource {
  return {
    sizeBytes: content.length,
    read(to, start, length, position) {
      const end = Math.min(content.length, position + Math.min(length, pieceBytes));
      to.set(content.subarray(position, end), start);
      return Math.max(0, end - position);
    },
    close() {},
  };
}

export function loadFile(engine: TestEngine, source: RdbSource, options?: LoadOptions): RdbFile {
  engine.call.setClock(engine.nowMs ?? Date.now());
  const reader = new RdbFile(source, options);
  while (reader.step(engine.call, 5));
  reader.close();
  engine.call.db = 0;
  return reader;
}

/** `engine.verify`, and of the allocator and the values that lie in their records as well. */
export function verifyAll(engine: TestEngine): void {
  engine.verify();
  for (const arena of engine.shards.arenas) {
    verifyAlloc(arena);
    for (let db = 0; db < 16; db++) verifyInline(arena, db);
  }
}

function verifyInline(a: Arena, db: number): void {
  const t = tableOf(a, db);
  if (t === 0) return;
  const walk = new TableWalk();
  walk.start();
  for (let record = walk.next(a, t); record !== 0; record = walk.next(a, t)) {
    const type = recordType(a, record);
    if (type === TYPE_LIST) verifyList(a, record);
    else if (hasRoot(a, record)) continue;
    else if (recordEncoding(a, record) === ENC_INTSET) intsetVerify(a, record);
    else if (type === TYPE_HASH || type === TYPE_SET) packVerify(a, record);
  }
}

/** Bytes that are still in use once all keys are gone: the same as before there were any, or something has leaked. */
export function bytesWithoutKeys(engine: TestEngine): number {
  let sum = 0;
  for (const arena of engine.shards.arenas) {
    for (let db = 0; db < 16; db++) flushDatabase(arena, db);
    while (freeBuried(arena, 1000));
    sum += liveBytes(arena) - baseBytes(arena);
  }
  return sum;
}

/** Looks inside the hashes and sets of a test engine. */
import { expect } from 'vitest';
import type { Offset } from '../../engine/arena.ts';
import { lookupQuiet } from '../../engine/keyspace.ts';
import { ENC_INTSET, recordEncoding } from '../../engine/record.ts';
import { hashFind, hashSize, isHash, value } from '../../engine/types/hash.ts';
import { intsetVerify } from '../../engine/types/intset.ts';
import { MemberWalk } from '../../engine/types/member-walk.ts';
import { packVerify } from '../../engine/types/pack.ts';
import { setHas, setHasReached, setSize } from '../../engine/types/set.ts';
import { hasRoot } from '../../engine/values.ts';
import type { TestEngine } from './engine.ts';

/** The record of a key, 0 when there is none; its arena is `engine.call.arena`. */
export function recordOf(engine: TestEngine, key: string): Offset {
  engine.run('exists', key);
  return lookupQuiet(engine.call, 1);
}

/** The form that a hash or set has. */
export function formOf(engine: TestEngine, key: string): 'none' | 'integers' | 'packed' | 'table' {
  const record = recordOf(engine, key);
  if (record === 0) return 'none';
  const a = engine.call.arena;
  if (hasRoot(a, record)) return 'table';
  return recordEncoding(a, record) === ENC_INTSET ? 'integers' : 'packed';
}

function textOf(bytes: Uint8Array, start: number, length: number): string {
  return Buffer.from(bytes.slice(start, start + length)).toString('latin1');
}

/** Checks a hash or set from the inside and gives its members, or fields with their values, in the order of a walk. */
export function membersOf(engine: TestEngine, key: string): Map<string, string> {
  const members = new Map<string, string>();
  const record = recordOf(engine, key);
  if (record === 0) return members;
  const a = engine.call.arena;
  const form = formOf(engine, key);
  if (form === 'integers') intsetVerify(a, record);
  if (form === 'packed') packVerify(a, record);
  const ofHash = isHash(a, record);
  const walk = new MemberWalk();
  for (walk.start(a, record); walk.next(a); ) {
    const name = textOf(walk.buf, walk.at, walk.length);
    if (members.has(name)) throw new Error(`${key} has ${name} twice`);
    members.set(name, ofHash ? textOf(a.u8, walk.valueAt, walk.valueLength) : '');
    const bytes = Buffer.from(name, 'latin1');
    const found = ofHash ? hashFind(a, record, bytes, 0, bytes.length) : setHas(a, record, bytes, 0, bytes.length);
    if (!found || !(ofHash || setHasReached(a, record, walk))) throw new Error(`${key}: ${name} is not found`);
    if (ofHash && textOf(a.u8, value.start, value.length) !== members.get(name)) throw new Error(`${key}: ${name}`);
  }
  expect(ofHash ? hashSize(a, record) : setSize(a, record)).toBe(members.size);
  return members;
}

/** The strings of a reply that has nothing but bulk strings, in an array or alone. */
export function stringsOf(reply: string): string[] {
  return [...reply.matchAll(/\$\d+\r\n(.*?)\r\n/gs)].map((match) => match[1]);
}

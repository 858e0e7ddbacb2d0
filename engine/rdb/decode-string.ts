/** Makes a key's string from RDB bytes. Under the shard's lock; short ones are copied once, into the key's record. */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { copyBytes } from '../keyspace.ts';
import { TYPE_STRING, valueStart } from '../record.ts';
import { MAX_INLINE_BYTES, setString } from '../types/string.ts';
import { type NewKey, needRoom, newRecord } from './decode-key.ts';
import type { RdbInput } from './input.ts';
import type { RdbString } from './string.ts';

/** The argument that a long string's key becomes when it is none yet. */
const KEY_ARGUMENT = 1;

/** Below this many bytes a loop over words beats `set` with its two views, and above some so does it a loop over bytes. */
const MAX_WORD_LOOP_BYTES = 512;

export function makeString(c: Call, key: NewKey, input: RdbInput, value: RdbString): Offset {
  const { buf, at, length } = value;
  if (length > MAX_INLINE_BYTES) return makeLong(c, key, value);
  const record = newRecord(c, key, TYPE_STRING, length);
  const a = c.arena;
  const start = valueStart(a, record);
  if (buf === input.u8 && length <= MAX_WORD_LOOP_BYTES) copyWords(a.view, start, input.view, at, length);
  else copyBytes(a.u8, start, buf, at, length);
  return record;
}

function copyWords(to: DataView, start: Offset, from: DataView, at: number, length: number): void {
  let i = 0;
  for (const end = length & ~3; i < end; i += 4) to.setInt32(start + i, from.getInt32(at + i, true), true);
  for (; i < length; i++) to.setUint8(start + i, from.getUint8(at + i));
}

function makeLong(c: Call, key: NewKey, value: RdbString): Offset {
  const { name } = key;
  let i = key.argument;
  if (i < 0) {
    i = KEY_ARGUMENT;
    c.buf = name.buf;
    c.off[i] = name.at;
    c.len[i] = name.length;
  }
  needRoom(c, name.length + value.length);
  return setString(c, i, 0, value.buf, value.at, value.length, key.expireAtMs);
}

/** Makes a key's string from RDB bytes. Under the shard's lock; short ones are copied once, into the key's record. */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { copyBytes } from '../keyspace.ts';
import { TYPE_STRING, valueStart } from '../record.ts';
import { MAX_INLINE_BYTES, setString } from '../types/string.ts';
import { type NewKey, needRoom, newRecord } from './decode-key.ts';
import type { RdbString } from './string.ts';

/** The argument that a long string's key becomes when it is none yet. */
const KEY_ARGUMENT = 1;

export function makeString(c: Call, key: NewKey, value: RdbString): Offset {
  if (value.length > MAX_INLINE_BYTES) return makeLong(c, key, value);
  const record = newRecord(c, key, TYPE_STRING, value.length);
  const a = c.arena;
  copyBytes(a.u8, valueStart(a, record), value.buf, value.at, value.length);
  return record;
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

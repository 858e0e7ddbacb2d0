/**
 * The key that is being made from RDB bytes, and what the decoders of all types need to make it. Under the shard's lock.
 *
 * A decoder makes the key's record first, with an empty value, and fills it then; if the bytes turn out bad or the arena
 * full, it deletes the record, and with it all that the value had. So nothing stays behind.
 */
import { ArenaFullError, canHold } from '../alloc.ts';
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { createRecordAt } from '../keyspace.ts';
import { Distinct } from './distinct.ts';
import { RdbString } from './string.ts';

/**
 * A value that comes packed is kept packed, up to so many bytes, although an element of it is longer than the settings
 * allow: as in Redis, it was packed under other settings.
 */
export const MAX_PACKED_BYTES = 1024 * 1024;

export class NewKey {
  readonly name = new RdbString();
  /** The call's argument that is the key; -1 when it comes from the input. */
  argument = -1;
  /** 0 for none. */
  expireAtMs = 0;
}

/** Scratch of the decoders: an element, the one that belongs to it, and whether members are all different. */
export const element = new RdbString();
export const partner = new RdbString();
export const distinct = new Distinct();

/** Throws unless an arena surely has room for so many bytes. */
export function needRoom(c: Call, bytes: number): void {
  if (!canHold(c.arena, bytes)) throw new ArenaFullError('the arena has no room for the value');
}

/** Makes the key's record with room for an inline value; `c.arena` and `c.hash` are the key's, which is absent. */
export function newRecord(c: Call, key: NewKey, type: number, inlineBytes: number): Offset {
  const { name } = key;
  needRoom(c, name.length + inlineBytes);
  return createRecordAt(c, c.db, name.buf, name.at, name.length, type, inlineBytes, key.expireAtMs);
}

/** What TYPE and OBJECT ENCODING say of a key, whatever it holds. Runs under the shard's lock; O(1). */
import type { Arena, Offset } from '../arena.ts';
import { recordType, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM, TYPE_STRING, TYPE_ZSET } from '../record.ts';
import type { Request } from '../request.ts';
import { encodingName as hashEncoding } from './hash.ts';
import { encodingName as listEncoding } from './list.ts';
import { encodingName as setEncoding } from './set.ts';
import { encodingName as streamEncoding } from './stream.ts';
import { encodingName as stringEncoding } from './string.ts';
import { encodingName as zsetEncoding } from './zset.ts';

const TYPE_NAMES: string[] = [];
TYPE_NAMES[TYPE_STRING] = 'string';
TYPE_NAMES[TYPE_LIST] = 'list';
TYPE_NAMES[TYPE_SET] = 'set';
TYPE_NAMES[TYPE_ZSET] = 'zset';
TYPE_NAMES[TYPE_HASH] = 'hash';
TYPE_NAMES[TYPE_STREAM] = 'stream';

export function typeName(a: Arena, record: Offset): string {
  return TYPE_NAMES[recordType(a, record)];
}

/** The encoding that a Redis server with the same settings and history would name. */
export function encodingName(a: Arena, record: Offset): string {
  switch (recordType(a, record)) {
    case TYPE_STRING:
      return stringEncoding(a, record);
    case TYPE_LIST:
      return listEncoding(a, record);
    case TYPE_SET:
      return setEncoding(a, record);
    case TYPE_HASH:
      return hashEncoding(a, record);
    case TYPE_ZSET:
      return zsetEncoding(a, record);
    case TYPE_STREAM:
      return streamEncoding();
    default:
      throw new Error(`encoding: a key of type ${recordType(a, record)}`);
  }
}

/** The type that argument i names, in any case; -1 for a name that is none. */
export function typeNumber(request: Request, i: number): number {
  return TYPE_NAMES.findIndex((name) => name !== undefined && request.is(i, name.toUpperCase()));
}

/**
 * What the keyspace must know of each type of value that has blocks of its own (encodings from ENC_ROOT on): how to free,
 * measure and check it. Type modules in types/ register themselves here; inline values need none of this.
 */
import type { Arena, Offset } from './arena.ts';
import { ENC_ROOT, recordEncoding, recordType, valueWord } from './record.ts';

export interface ValueOps {
  /** Frees every block of the value. */
  free(a: Arena, root: Offset): void;
  /** Bytes of all blocks of the value, by usable size. May walk: O(n). */
  bytes(a: Arena, root: Offset): number;
  /** For tests: throws when an invariant does not hold. O(n). */
  verify(a: Arena, root: Offset): void;
  /**
   * Builds a copy of the value in `to`, which may be another arena or the same one, and returns its root: RENAME and MOVE
   * between shards, and COPY. The copy has the same encoding and the same order of elements where order is visible. The
   * caller has made sure that `to` can hold `bytes` more and half as much again.
   */
  copy(from: Arena, root: Offset, to: Arena): Offset;
}

const OPS: (ValueOps | undefined)[] = new Array(8).fill(undefined);

export function registerValueOps(type: number, ops: ValueOps): void {
  OPS[type] = ops;
}

export function hasRoot(a: Arena, record: Offset): boolean {
  return recordEncoding(a, record) >= ENC_ROOT;
}

function opsOf(a: Arena, record: Offset): ValueOps {
  const ops = OPS[recordType(a, record)];
  if (ops === undefined) throw new Error(`values: no operations for type ${recordType(a, record)}`);
  return ops;
}

/** Frees the blocks behind a record's value, if it has any. */
export function freeValue(a: Arena, record: Offset): void {
  if (hasRoot(a, record)) opsOf(a, record).free(a, valueWord(a, record));
}

/** Bytes of the blocks behind a record's value; 0 for an inline value. */
export function valueBytes(a: Arena, record: Offset): number {
  return hasRoot(a, record) ? opsOf(a, record).bytes(a, valueWord(a, record)) : 0;
}

/** The root, in `to`, of a copy of a record's value; only for values with a root (`hasRoot`). See ValueOps.copy. */
export function copyRoot(from: Arena, record: Offset, to: Arena): Offset {
  return opsOf(from, record).copy(from, valueWord(from, record), to);
}

export function verifyValue(a: Arena, record: Offset): void {
  if (hasRoot(a, record)) opsOf(a, record).verify(a, valueWord(a, record));
}

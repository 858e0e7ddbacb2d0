/**
 * Makes a key's list from RDB bytes, element by element. Under the shard's lock. The first elements are gathered outside the
 * arena: if they are all, they become an inline list (types/list.ts) in a record of the right size; else a root with nodes,
 * to which the others are pushed as they are read.
 */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { copyBytes, deleteRecord } from '../keyspace.ts';
import { ENC_ROOT, setRecordEncoding, setValueWord, TYPE_LIST, valueStart } from '../record.ts';
import { listFill } from '../types/list.ts';
import { entryBytes, entryLength, entryNext, entryStart, writeEntry } from '../types/list-entry.ts';
import { rootCreate, rootPush } from '../types/list-node.ts';
import { INLINE_HEADER_BYTES } from '../types/list-walk.ts';
import { type NewKey, newRecord } from './decode-key.ts';
import type { RdbString } from './string.ts';

/** No more than types/list.ts keeps inline. */
const MAX_INLINE_BYTES = 255;

export class ListBuilder {
  /** Elements so far. */
  count = 0;
  private readonly inline = new Uint8Array(MAX_INLINE_BYTES);
  private used = INLINE_HEADER_BYTES;
  private record: Offset = 0;
  private root: Offset = 0;

  /** Begins a list; `add`, then `finish` or `abandon`. */
  start(): void {
    this.count = 0;
    this.used = INLINE_HEADER_BYTES;
    this.record = 0;
    this.root = 0;
  }

  add(c: Call, key: NewKey, element: RdbString): void {
    this.count++;
    const bytes = entryBytes(element.length);
    if (this.root === 0 && this.used + bytes <= MAX_INLINE_BYTES) {
      writeEntry(this.inline, this.used, element.buf, element.at, element.length);
      this.used += bytes;
      return;
    }
    if (this.root === 0) this.makeRoot(c, key);
    rootPush(c.arena, this.root, false, element.buf, element.at, element.length, listFill(c));
  }

  private makeRoot(c: Call, key: NewKey): void {
    const a = c.arena;
    this.record = newRecord(c, key, TYPE_LIST, 0);
    this.root = rootCreate(a);
    setRecordEncoding(a, this.record, ENC_ROOT);
    setValueWord(a, this.record, this.root);
    const { inline } = this;
    for (let at = INLINE_HEADER_BYTES; at < this.used; at = entryNext(inline, at)) {
      rootPush(a, this.root, false, inline, entryStart(inline, at), entryLength(inline, at), listFill(c));
    }
  }

  /** Makes the key's record, which has one element at least. */
  finish(c: Call, key: NewKey): Offset {
    if (this.root !== 0) return this.record;
    const a = c.arena;
    const record = newRecord(c, key, TYPE_LIST, this.used);
    this.inline[0] = this.count;
    copyBytes(a.u8, valueStart(a, record), this.inline, 0, this.used);
    return record;
  }

  /** Takes back what was made of a list that cannot be finished. */
  abandon(c: Call): void {
    if (this.record !== 0) deleteRecord(c.arena, this.record);
    this.start();
  }
}

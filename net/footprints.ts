/**
 * What the write at hand makes in memory beside its arguments (engine/footprint.ts): the leader of a group asks before it proposes it, and
 * a node with a log before a worker gets it. Main thread; locks the shards of the command until the turn ends.
 */
import { usableSize } from '../engine/alloc.ts';
import type { Call } from '../engine/call.ts';
import { COPIES, type CommandRow } from '../engine/command.ts';
import { ELEMENT_BYTES, Footprint, PACKED_BYTES } from '../engine/footprint.ts';
import { lookupQuiet } from '../engine/keyspace.ts';
import { hasSingleKey, keyArgumentsOf } from '../engine/locks.ts';
import { isString } from '../engine/types/string.ts';
import { hasRoot, valueBytes } from '../engine/values.ts';
import type { MainShards } from './dispatch-shards.ts';

/** As a part of what is made: it may be laid out otherwise. */
const LAYOUT_PART = 1.5;

/** Whether the row's command may take far more memory than its arguments have bytes. */
export function makesMuch(row: CommandRow): boolean {
  return row.makes !== undefined || (row.flags & COPIES) !== 0;
}

export class Footprints {
  private readonly last = new Footprint();
  private readonly call: Call;
  private readonly shards: MainShards;

  constructor(call: Call, shards: MainShards) {
    this.call = call;
    this.shards = shards;
  }

  /**
   * Measures the command of `row` that the request in `call` has behind `words` words. `ahead`: bytes of writes that are not applied
   * yet, 0 only when there are none. O(1) for what is not copied, but for RESTORE and SORT; for copies as `valueBytes`. Valid until the
   * next is measured.
   */
  measure(row: CommandRow, words: number, ahead: number): Footprint {
    const { call, last } = this;
    last.clear();
    if (!makesMuch(row)) return last;
    if (words === 0) this.add(row, ahead);
    else {
      const outer = call.row as CommandRow;
      const off = call.off.slice(0, words);
      const len = call.len.slice(0, words);
      call.shift(words);
      call.begin(row);
      this.add(row, ahead);
      call.unshift(off, len);
      call.begin(outer);
    }
    last.scale(LAYOUT_PART);
    return last;
  }

  private add(row: CommandRow, ahead: number): void {
    const { call, shards, last } = this;
    if (hasSingleKey(row)) {
      call.hashKey(row.firstKey);
      shards.locks.take(call.arena.shard);
    } else {
      shards.lockKeys(row);
    }
    if ((row.flags & COPIES) !== 0) this.addCopies(row);
    row.makes?.(call, ahead, last);
  }

  /** The values of its keys, if it copies them: with one key, SORT and GEORADIUS do not store anything. */
  private addCopies(row: CommandRow): void {
    const { call } = this;
    const keys = keyArgumentsOf(call, row);
    if (keys.length < 2) return;
    for (const i of keys) {
      const record = lookupQuiet(call, i);
      if (record === 0) continue;
      const { arena } = call;
      let bytes = usableSize(arena, record) + valueBytes(arena, record);
      const isText = isString(arena, record);
      // What is packed may become elements of a table.
      if (!isText && !hasRoot(arena, record)) bytes *= ELEMENT_BYTES / PACKED_BYTES;
      this.last.addUnsure(bytes, isText ? bytes : 0);
    }
  }
}

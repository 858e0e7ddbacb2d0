/**
 * Reading a list from either end: run by run (the entries of one node, or of the key's record when the list lies inline)
 * for those who handle many entries at once, and element by element. Under the shard's lock; nothing is allocated and
 * nothing is changed. A walk is good until the list or its record changes.
 */
import type { Arena, Offset } from '../arena.ts';
import { valueStart, valueWord } from '../record.ts';
import { hasRoot } from '../values.ts';
import { entryBefore, entryLength, entryNext, entryStart, skipBackward, skipForward } from './list-entry.ts';
import {
  NODE_BEGIN,
  NODE_COUNT,
  NODE_END,
  NODE_NEXT,
  NODE_PREV,
  nodeEntry,
  ROOT_COUNT,
  ROOT_HEAD,
  ROOT_TAIL,
} from './list-node.ts';

/** Bytes before the entries of an inline list: u8 how many there are. */
export const INLINE_HEADER_BYTES = 1;

export function listLength(a: Arena, record: Offset): number {
  return hasRoot(a, record) ? a.u32[(valueWord(a, record) + ROOT_COUNT) >>> 2] : a.u8[valueStart(a, record)];
}

/** Where a list is being read: one run of entries. */
export class ListRun {
  /** The node of the run, 0 when the list lies inline. */
  node: Offset = 0;
  begin: Offset = 0;
  end: Offset = 0;
  count = 0;

  /** Goes to the first or the last run of a list. */
  start(a: Arena, record: Offset, fromBack: boolean): void {
    if (hasRoot(a, record)) {
      this.enter(a, a.u32[(valueWord(a, record) + (fromBack ? ROOT_TAIL : ROOT_HEAD)) >>> 2]);
      return;
    }
    const value = valueStart(a, record);
    this.node = 0;
    this.begin = value + INLINE_HEADER_BYTES;
    this.end = value + valueWord(a, record);
    this.count = a.u8[value];
  }

  private enter(a: Arena, node: Offset): void {
    const u32 = a.u32;
    this.node = node;
    this.begin = node + u32[(node + NODE_BEGIN) >>> 2];
    this.end = node + u32[(node + NODE_END) >>> 2];
    this.count = u32[(node + NODE_COUNT) >>> 2];
  }

  /** Goes to the next run; false, staying where it is, when there is none. */
  next(a: Arena): boolean {
    return this.step(a, NODE_NEXT);
  }

  prev(a: Arena): boolean {
    return this.step(a, NODE_PREV);
  }

  private step(a: Arena, link: number): boolean {
    const node = this.node === 0 ? 0 : a.u32[(this.node + link) >>> 2];
    if (node === 0) return false;
    this.enter(a, node);
    return true;
  }

  /**
   * Goes to the run that holds entry `index` (0 <= index < length), from the nearer end of the list, and returns the
   * entry's index within the run.
   */
  seek(a: Arena, record: Offset, index: number): number {
    let rest = listLength(a, record) - index;
    if (index < rest) {
      this.start(a, record, false);
      while (index >= this.count) {
        index -= this.count;
        this.next(a);
      }
      return index;
    }
    this.start(a, record, true);
    while (rest > this.count) {
      rest -= this.count;
      this.prev(a);
    }
    return this.count - rest;
  }

  /** Where the entry with this index within the run begins. */
  entry(a: Arena, index: number): Offset {
    if (this.node !== 0) return nodeEntry(a, this.node, index);
    const rest = this.count - index;
    return index <= rest ? skipForward(a.u8, this.begin, index) : skipBackward(a.u8, this.end, rest);
  }
}

/** Steps over the elements of a list from either end: `start`, then `next` until it is false. For LPOS, SORT, DUMP. */
export class ListWalk {
  readonly run = new ListRun();
  /** The entry at hand, and its element's bytes. */
  at: Offset = 0;
  elementStart: Offset = 0;
  elementLength = 0;
  private fromBack = false;
  /** Entries of the run still to come, and the edge of what was seen, where the next of them begins (or ends). */
  private left = 0;
  private edge: Offset = 0;

  start(a: Arena, record: Offset, fromBack = false): void {
    this.fromBack = fromBack;
    this.run.start(a, record, fromBack);
    this.enterRun();
  }

  private enterRun(): void {
    this.left = this.run.count;
    this.edge = this.fromBack ? this.run.end : this.run.begin;
  }

  /** Goes to the next element, the first one after `start`; false when there is none. */
  next(a: Arena): boolean {
    if (this.left === 0) {
      if (!(this.fromBack ? this.run.prev(a) : this.run.next(a))) return false;
      this.enterRun();
    }
    this.left--;
    const u8 = a.u8;
    this.at = this.fromBack ? entryBefore(u8, this.edge) : this.edge;
    this.edge = this.fromBack ? this.at : entryNext(u8, this.at);
    this.elementStart = entryStart(u8, this.at);
    this.elementLength = entryLength(u8, this.at);
    return true;
  }
}

/**
 * The log in memory: the same calls, nothing durable. For `appendonly no` in a group with more than one voter, and for
 * tests. One thread; an append copies nothing: unlike the other log this one keeps the bytes themselves, which must not change
 * any more. A restart finds it empty, which its user has to know.
 */
import { LogError } from './errors.ts';
import type { Log, LogIndex, LogRecord } from './log.ts';
import { emptyRecord, TYPE_ENTRY, TYPE_RESTART } from './record.ts';
import { LogState } from './state.ts';

/** Where a payload is. */
interface Payload {
  readonly kind: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly length: number;
}

/** The payloads of one group: that of entry `first` comes first. */
interface Payloads {
  first: LogIndex;
  items: Payload[];
}

export class MemoryLog implements Log {
  private readonly state = new LogState();
  private readonly payloads = new Map<number, Payloads>();
  private readonly record: LogRecord = emptyRecord();

  constructor() {
    this.state.beginSegment(1, 0);
  }

  append(
    group: number,
    term: number,
    index: LogIndex,
    bytes: Uint8Array,
    start: number,
    length: number,
    kind = 0,
  ): void {
    const type = this.state.typeFor(group, index);
    if (type === 0) {
      throw new Error(`log: entry ${index} of group ${group} cannot follow entry ${this.state.lastIndex(group)}`);
    }
    let own = this.payloads.get(group);
    if (own === undefined || type === TYPE_RESTART || index < own.first) {
      own = { first: index, items: [] };
      this.payloads.set(group, own);
    }
    own.items.length = index - own.first;
    own.items.push({ kind, bytes, start, length });
    this.state.add(group, term, index, type);
  }

  flush(): void {}

  sync(): void {}

  restartAt(group: number, index: LogIndex): void {
    this.state.restartAt(group, index);
  }

  firstIndex(group: number): LogIndex {
    return this.state.firstIndex(group);
  }

  lastIndex(group: number): LogIndex {
    return this.state.lastIndex(group);
  }

  termAt(group: number, index: LogIndex): number {
    return this.state.termAt(group, index);
  }

  read(group: number, from: LogIndex, to: LogIndex, visit: (record: LogRecord) => boolean): void {
    if (from >= to) return;
    if (to > this.lastIndex(group) + 1) throw new Error(`log: entry ${to - 1} of group ${group} is not there yet`);
    if (from < this.firstIndex(group)) {
      throw new LogError('COMPACTED', `log: entry ${from} of group ${group} was dropped`, 'memory');
    }
    const { record } = this;
    const { first, items } = this.payloads.get(group)!;
    for (let index = from; index < to; index++) {
      record.group = group;
      record.term = this.state.termAt(group, index);
      record.index = index;
      record.type = TYPE_ENTRY;
      const { kind, bytes, start, length } = items[index - first];
      record.kind = kind;
      record.bytes = bytes;
      record.start = start;
      record.length = length;
      if (!visit(record)) return;
    }
  }

  dropThrough(group: number, index: LogIndex): void {
    const state = this.state.find(group);
    const own = this.payloads.get(group);
    if (state === undefined || own === undefined) return;
    const last = Math.min(index, state.lastIndex);
    if (last < own.first) return;
    own.items.splice(0, last + 1 - own.first);
    own.first = last + 1;
    state.dropThrough(last);
  }

  close(): void {
    this.payloads.clear();
  }
}

/**
 * What a log knows of its groups without looking at the disk: first and last index, terms, and which segment holds what,
 * so that segments can go. One thread. A record costs a few ns and no allocation, except where the term changes.
 */
import type { LogIndex } from './log.ts';
import { TYPE_ENTRY, TYPE_RESTART } from './record.ts';
import type { GroupBase } from './segment.ts';

export class GroupState {
  readonly group: number;
  /** The entries [firstIndex, lastIndex] are there; none when firstIndex is behind lastIndex. */
  firstIndex: LogIndex;
  lastIndex: LogIndex;
  /** Where the next entry restarts the group; 0 when it follows `lastIndex`. */
  restartIndex: LogIndex = 0;
  /** Entries up to here are not needed any more, whether or not their segment is gone. */
  droppable: LogIndex = 0;
  /** The segment of the last record. */
  segment = 0;
  /** From termFrom[i] on the term is terms[i]. */
  termFrom: LogIndex[];
  terms: number[];

  constructor(group: number, lastIndex: LogIndex, lastTerm: number) {
    this.group = group;
    this.firstIndex = lastIndex + 1;
    this.lastIndex = lastIndex;
    this.termFrom = [lastIndex];
    this.terms = [lastTerm];
  }

  get lastTerm(): number {
    return this.terms.length === 0 ? 0 : this.terms[this.terms.length - 1];
  }

  termAt(index: LogIndex): number {
    if (index > this.lastIndex) return -1;
    // From the newest on: that is where Raft looks.
    for (let i = this.termFrom.length - 1; i >= 0; i--) if (this.termFrom[i] <= index) return this.terms[i];
    return -1;
  }

  /** Entries up to `index` are gone; the term of the last of them stays known. */
  dropThrough(index: LogIndex): void {
    if (index < this.firstIndex) return;
    this.firstIndex = index + 1;
    let gone = 0;
    while (gone + 1 < this.termFrom.length && this.termFrom[gone + 1] <= index) gone++;
    this.termFrom.splice(0, gone);
    this.terms.splice(0, gone);
    if (this.termFrom[0] < index) this.termFrom[0] = index;
  }
}

/** A segment as the log remembers it. */
export interface SegmentState {
  segment: number;
  sizeBytes: number;
  /** Of each group that has entries here which count: the last. Filled when the next segment begins. */
  last: Map<number, LogIndex>;
}

export class LogState {
  readonly groups = new Map<number, GroupState>();
  /** Ascending; the last one takes the records. */
  readonly segments: SegmentState[] = [];
  /** Where groups begin that have no record yet, if that was said. */
  private readonly expected = new Map<number, LogIndex>();
  /** The group looked up last: most records have the group of the one before. */
  private recent: GroupState | undefined = undefined;

  find(group: number): GroupState | undefined {
    if (this.recent !== undefined && this.recent.group === group) return this.recent;
    const found = this.groups.get(group);
    if (found !== undefined) this.recent = found;
    return found;
  }

  /** Where the groups stand, for the header of the next segment. */
  base(): GroupBase[] {
    return [...this.groups.values()]
      .map(({ group, lastIndex, lastTerm }) => ({ group, lastIndex, lastTerm }))
      .sort((a, b) => a.group - b.group);
  }

  /** The first segment of all tells where groups stood whose records are gone. */
  setBase(base: readonly GroupBase[]): void {
    for (const { group, lastIndex, lastTerm } of base)
      this.groups.set(group, new GroupState(group, lastIndex, lastTerm));
  }

  agreesWith(base: readonly GroupBase[]): boolean {
    const own = this.base();
    return (
      own.length === base.length &&
      own.every(
        ({ group, lastIndex, lastTerm }, i) =>
          group === base[i].group && lastIndex === base[i].lastIndex && lastTerm === base[i].lastTerm,
      )
    );
  }

  /** From now on records go into this segment. */
  beginSegment(segment: number, sizeBytes: number): void {
    const before = this.segments[this.segments.length - 1];
    if (before !== undefined) {
      for (const state of this.groups.values()) {
        if (state.segment === before.segment) before.last.set(state.group, state.lastIndex);
      }
    }
    this.segments.push({ segment, sizeBytes, last: new Map() });
  }

  restartAt(group: number, index: LogIndex): void {
    const state = this.find(group);
    if (state !== undefined) state.restartIndex = index;
    else this.expected.set(group, index);
  }

  firstIndex(group: number): LogIndex {
    const state = this.find(group);
    if (state === undefined) return this.expected.get(group) ?? 1;
    return state.restartIndex === 0 ? state.firstIndex : state.restartIndex;
  }

  lastIndex(group: number): LogIndex {
    const state = this.find(group);
    if (state === undefined) return (this.expected.get(group) ?? 1) - 1;
    return state.restartIndex === 0 ? state.lastIndex : state.restartIndex - 1;
  }

  termAt(group: number, index: LogIndex): number {
    const state = this.find(group);
    return state === undefined || state.restartIndex !== 0 ? -1 : state.termAt(index);
  }

  /** The type a record at this index must have; 0 when it may not come now. */
  typeFor(group: number, index: LogIndex): number {
    const state = this.find(group);
    if (state === undefined) return index === (this.expected.get(group) ?? index) ? TYPE_RESTART : 0;
    if (state.restartIndex !== 0) return index === state.restartIndex ? TYPE_RESTART : 0;
    return index <= state.lastIndex + 1 ? TYPE_ENTRY : 0;
  }

  /** A record that may come (`typeFor`, or one found on the disk) takes its place. */
  add(group: number, term: number, index: LogIndex, type: number): void {
    let state = this.find(group);
    if (state === undefined) {
      state = new GroupState(group, index - 1, 0);
      this.groups.set(group, state);
      this.expected.delete(group);
    }
    if (type === TYPE_RESTART) this.restart(state, index);
    else if (index <= state.lastIndex) this.truncate(state, index);
    if (state.terms.length === 0 || state.lastTerm !== term) {
      state.termFrom.push(index);
      state.terms.push(term);
    }
    state.lastIndex = index;
    state.segment = this.segments[this.segments.length - 1].segment;
  }

  private restart(state: GroupState, index: LogIndex): void {
    for (const segment of this.segments) segment.last.delete(state.group);
    state.firstIndex = index;
    state.restartIndex = 0;
    state.termFrom.length = 0;
    state.terms.length = 0;
  }

  /** Entries from `index` on are void. */
  private truncate(state: GroupState, index: LogIndex): void {
    if (index < state.firstIndex) state.firstIndex = index;
    while (state.termFrom.length > 0 && state.termFrom[state.termFrom.length - 1] >= index) {
      state.termFrom.pop();
      state.terms.pop();
    }
    for (const { last } of this.segments) {
      const highest = last.get(state.group);
      if (highest !== undefined && highest >= index) last.set(state.group, index - 1);
    }
  }

  /** The oldest segment is gone. */
  dropOldest(): void {
    const { last } = this.segments.shift()!;
    for (const [group, index] of last) this.groups.get(group)!.dropThrough(index);
  }
}

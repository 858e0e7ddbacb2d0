/**
 * What a write makes in memory beside its arguments: a string that grows far beyond them, copies of other values, what was
 * compressed. Rows of the command table tell it (`makes`), before the write runs and without changing anything. It is for
 * replicas: what cannot be had when an entry is applied must be had on none of them, so the leader asks before (net/replica/front.ts).
 */
/** What an element takes beside its bytes where each has a record and a place in a table and a tree, at most. */
export const ELEMENT_BYTES = 64;
/** The shortest element of a packed collection. */
export const PACKED_BYTES = 2;

export class Footprint {
  /** Bytes of all of it, at most; a little more may be taken where memory is laid out otherwise. */
  bytes = 0;
  /** The part of them that writes under way may change, as they may what is copied. */
  unsureBytes = 0;
  /** Bytes of the longest part that has to lie in one piece. */
  longest = 0;

  clear(): void {
    this.bytes = 0;
    this.unsureBytes = 0;
    this.longest = 0;
  }

  /** Adds what the arguments alone decide. */
  add(bytes: number, longest: number): void {
    this.bytes += bytes;
    if (longest > this.longest) this.longest = longest;
  }

  /** Adds what depends on the data. */
  addUnsure(bytes: number, longest: number): void {
    this.add(bytes, longest);
    this.unsureBytes += bytes;
  }

  scale(factor: number): void {
    this.bytes *= factor;
    this.unsureBytes *= factor;
    this.longest *= factor;
  }
}

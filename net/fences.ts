/**
 * Fences around shards: whoever needs a shard with nothing queued for it keeps others from queueing commands there, so that
 * its wait ends. Main thread; the dispatcher asks. Costs one comparison while there is none.
 */

/** The holder that is no session: a snapshot's beginning, or another act of the server's own. */
export const SERVER = -1;
/** Whoever applies entries of a group's log. */
export const APPLIER = -2;

export class Fences {
  /** How many there are. */
  count = 0;
  /** By shard: the session inside the fence; 0 = none. */
  private readonly holder: Int32Array;
  private readonly marked = new Map<number, Uint8Array>();

  constructor(shards: number) {
    this.holder = new Int32Array(shards);
  }

  /** Whether somebody has a fence around the shard. */
  encloses(shard: number): boolean {
    return this.holder[shard] !== 0;
  }

  /** Whether another than `session` has a fence around a marked shard. */
  excludes(session: number, marked: Uint8Array): boolean {
    if (this.count === 0) return false;
    for (let shard = 0; shard < marked.length; shard++) {
      const by = this.holder[shard];
      if (marked[shard] === 1 && by !== 0 && by !== session) return true;
    }
    return false;
  }

  /** Puts a fence around all marked shards, unless the session has one or another has one around any of them. */
  put(session: number, marked: Uint8Array): void {
    if (this.marked.has(session) || this.excludes(session, marked)) return;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) this.holder[shard] = session;
    this.marked.set(session, marked.slice());
    this.count++;
  }

  /** Takes the session's fence away; false when it had none. */
  remove(session: number): boolean {
    const marked = this.count === 0 ? undefined : this.marked.get(session);
    if (marked === undefined) return false;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) this.holder[shard] = 0;
    this.marked.delete(session);
    this.count--;
    return true;
  }
}

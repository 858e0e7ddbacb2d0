/**
 * Fences around shards: whoever needs a shard with nothing queued for it keeps others from queueing commands there, so that
 * its wait ends. Main thread; the dispatcher asks. Costs one comparison while there is none.
 */

/** The holder that is no session: a snapshot's beginning, or another act of the server's own. */
export const SERVER = -1;
/** Whoever applies entries of a group's log. */
export const APPLIER = -2;

export class Fences {
  /** How many there are; the server's counts also while it waits for those of others. */
  count = 0;
  /** By shard: the session inside the fence; 0 = none. */
  private readonly holder: Int32Array;
  private readonly marked = new Map<number, Uint8Array>();
  /** The server wants a fence where others have some: nobody gets a new one before it. */
  private serverWaits = false;

  constructor(shards: number) {
    this.holder = new Int32Array(shards);
  }

  /** Whether somebody has a fence around the shard, or is to have one next. */
  encloses(shard: number): boolean {
    return this.serverWaits || this.holder[shard] !== 0;
  }

  /** Whether another than `session` has a fence around a marked shard, or is to have one before it. */
  excludes(session: number, marked: Uint8Array): boolean {
    if (this.count === 0) return false;
    if (this.serverWaits && session !== SERVER && !this.marked.has(session)) return true;
    for (let shard = 0; shard < marked.length; shard++) {
      const by = this.holder[shard];
      if (marked[shard] === 1 && by !== 0 && by !== session) return true;
    }
    return false;
  }

  /** Puts a fence around all marked shards, unless the session has one or another has one around any of them. */
  put(session: number, marked: Uint8Array): void {
    if (this.marked.has(session)) return;
    const isExcluded = this.excludes(session, marked);
    if (session === SERVER) this.waitAsServer(isExcluded);
    if (isExcluded) return;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) this.holder[shard] = session;
    this.marked.set(session, marked.slice());
    this.count++;
  }

  private waitAsServer(waits: boolean): void {
    if (waits === this.serverWaits) return;
    this.serverWaits = waits;
    this.count += waits ? 1 : -1;
  }

  /** Takes the session's fence away; false when it had none. */
  remove(session: number): boolean {
    if (this.count === 0) return false;
    if (session === SERVER && this.serverWaits) {
      this.waitAsServer(false);
      return true;
    }
    const marked = this.marked.get(session);
    if (marked === undefined) return false;
    for (let shard = 0; shard < marked.length; shard++) if (marked[shard] === 1) this.holder[shard] = 0;
    this.marked.delete(session);
    this.count--;
    return true;
  }
}

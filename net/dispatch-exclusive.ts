/**
 * What the server itself wants done with all shards (the beginning of a snapshot, a hash of the state, another log): it runs with all
 * of them locked and nothing queued for any, and on a replica between two entries. Also when the whole state is replaced, which
 * takes more than one turn: then nobody else comes near the shards until it is over. Main thread, rare.
 */
import type { Dispatcher } from './dispatch.ts';
import type { MainShards } from './dispatch-shards.ts';
import { SERVER } from './fences.ts';

export class Exclusive {
  /** The state is being replaced: the locks are kept. */
  isReplacing = false;
  /** None throws. */
  private readonly acts: (() => void)[] = [];
  private readonly dispatcher: Dispatcher;
  private readonly shards: MainShards;

  constructor(dispatcher: Dispatcher) {
    this.dispatcher = dispatcher;
    this.shards = dispatcher.shards;
  }

  /** Runs `act` at once, or as soon as it may be. */
  add(act: () => void): void {
    this.acts.push(act);
    this.run();
  }

  /** Runs what waits, if it may be now. */
  run(): void {
    if (this.acts.length === 0 || this.isReplacing) return;
    const { shards, dispatcher } = this;
    shards.marked.fill(1);
    if (!shards.isUnqueued()) return shards.putFence(SERVER);
    if (dispatcher.replication !== undefined && !dispatcher.replication.isSettled) return;
    shards.lockMarked();
    // One may begin to replace the state: then the others come after that.
    while (this.acts.length > 0 && !this.isReplacing) this.acts.shift()!();
    if (!this.isReplacing) shards.locks.releaseAll();
    shards.unfence(SERVER);
  }

  /**
   * Begins to replace the state, on a replica: clients that need it get this error. Resolves when nothing is under way any more;
   * from then on nobody but the caller touches the shards, whose locks are kept.
   */
  beginReplacing(text: string): Promise<void> {
    this.dispatcher.refusals.setLoading(text);
    return new Promise((resolve) =>
      this.add(() => {
        this.isReplacing = true;
        resolve();
      }),
    );
  }

  /** Whoever waits for a key may find it now. */
  endReplacing(): void {
    this.isReplacing = false;
    this.shards.locks.releaseAll();
    this.dispatcher.refusals.setLoading('');
    this.dispatcher.blocking.wakeAll();
  }
}

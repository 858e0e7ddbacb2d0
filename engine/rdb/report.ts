/** What was met while RDB bytes were loaded, beside the keys that were made. Any thread. */

/** Facts about a file beyond these are not kept: a server writes a dozen short ones. */
const MAX_FACTS = 64;
const MAX_FACT_LENGTH = 256;

export class LoadReport {
  /** Keys made. */
  keys = 0;
  /** Keys of shards that another thread loads. */
  elsewhere = 0;
  /** Keys left out, since they had expired. */
  expired = 0;
  /** Keys left out, since their collections had no elements (servers before 7 have written such). */
  emptyKeys = 0;
  /** Consumer groups of streams, which were made without them. */
  skippedGroups = 0;
  /** Libraries of functions, left out. */
  skippedFunctions = 0;
  /** What modules wrote beside the keys, left out. */
  skippedModuleData = 0;
  /** What the file says of itself: `redis-ver`, `ctime`, `used-mem` and so on. */
  readonly facts = new Map<string, string>();

  addFact(name: string, value: string): void {
    if (this.facts.size >= MAX_FACTS || name.length + value.length > MAX_FACT_LENGTH) return;
    this.facts.set(name, value);
  }
}

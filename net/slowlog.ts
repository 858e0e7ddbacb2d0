/** SLOWLOG: the last commands that took longer than slowlog-log-slower-than. Main thread; net/watch.ts feeds it. */

export interface SlowEntry {
  id: number;
  atSec: number;
  elapsedUs: number;
  /** One character per byte; see engine/excerpt.ts. */
  args: string[];
  addr: string;
  name: string;
}

export class SlowLog {
  /** slowlog-max-len */
  maxLength = 128;
  /** Newest first. */
  readonly entries: SlowEntry[] = [];
  private nextId = 0;

  add(args: string[], elapsedUs: number, addr: string, name: string): void {
    if (this.maxLength > 0) {
      const atSec = Math.floor(Date.now() / 1000);
      this.entries.unshift({ id: this.nextId, atSec, elapsedUs: Math.round(elapsedUs), args, addr, name });
    }
    this.nextId++;
    if (this.entries.length > this.maxLength) this.entries.length = this.maxLength;
  }

  reset(): void {
    this.entries.length = 0;
  }
}

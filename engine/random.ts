/** A small seeded generator (Marsaglia, "Xorshift RNGs", 2003): the same seed gives the same draws on every replica. Not for secrets. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0 || 0x9e3779b9;
  }

  reseed(seed: number): void {
    this.state = seed | 0 || 0x9e3779b9;
  }

  /** What `reseed` takes to draw the same numbers from here on; not 0. */
  get position(): number {
    return this.state;
  }

  /** An unsigned 32-bit number. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  /** A whole number in [0, limit), limit at most 2^32. */
  below(limit: number): number {
    return Math.floor((this.next() / 4294967296) * limit);
  }
}

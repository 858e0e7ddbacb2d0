/** All that is left to chance in a simulated world, from one seed: the same seed gives the same draws in the same order. */
import type { Random } from '../../../engine/random.ts';
import { seeded } from '../../support/seeded.ts';

export class Chance {
  /** For what takes a generator as it is, a simulated disk for example. */
  readonly random: Random;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return this.random.below(limit);
  }

  /** A real number in [from, to). */
  between(from: number, to: number): number {
    return from + ((to - from) * this.random.next()) / 4294967296;
  }

  /** True `percent` times of a hundred; fractions count. */
  percent(percent: number): boolean {
    return percent > 0 && this.between(0, 100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.below(list.length)];
  }

  /** A waiting time with this mean: most are shorter, some much longer. */
  wait(mean: number): number {
    return -Math.log(1 - this.between(0, 0.999)) * mean;
  }

  /** A generator of its own, so that what draws from it does not disturb the rest. */
  fork(): Chance {
    return new Chance(this.random.next() & 0x3fffffff);
  }
}

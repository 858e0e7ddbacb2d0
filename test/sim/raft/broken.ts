/**
 * Something that must never happen has happened in a simulated world. The letter is the invariant's:
 *
 * ```
 * E  one leader and one vote of each replica per term     S  the same index, the same state
 * C  committed entries stay, and are on a majority        D  what was acknowledged survives
 * R  every key's history is linearizable                  Y  a session reads what it wrote, and never goes back
 * M  terms, commit and applied indexes only grow          A  a healthy group has a leader, keeps it, and gets work done
 * X  nothing throws
 * ```
 */
export type Invariant = 'E' | 'C' | 'S' | 'D' | 'R' | 'Y' | 'M' | 'A' | 'X';

export class Broken extends Error {
  override readonly name = 'Broken';
  readonly invariant: Invariant;

  constructor(invariant: Invariant, what: string) {
    super(`${invariant}: ${what}`);
    this.invariant = invariant;
  }
}

/** How often what has happened in simulated worlds: a batch of seeds is only worth something if all of this did. */

export const HAPPENINGS = [
  // The network.
  'messages lost',
  'messages repeated',
  'messages held back',
  'messages cut off',
  'links cut one way',
  'tails lost',
  'links held',
  'partitions',
  'leaders usurped',
  'restart loops',
  'voters restarted around a leader',
  // Nodes.
  'crashes',
  'crashes of all',
  'crashes in a disk call',
  'power losses with torn writes',
  'kills that lose nothing',
  'restarts',
  'starts that failed',
  'nodes frozen',
  'freezes without ticks',
  'wall clocks moved',
  'clocks that run unequally',
  'slow state machines',
  // Disks.
  'disks full',
  'failed syncs',
  'writes delayed',
  'batches synced together',
  // Members.
  'learners added',
  'voters added',
  'members removed',
  'several voters changed at once',
  'changes refused',
  'nodes wiped',
  'removed nodes that go on',
  'transfers',
  'competing candidates',
  // Snapshots.
  'snapshots taken',
  'compactions',
  'snapshots sent',
  'snapshot transfers cut',
  'snapshot pieces damaged',
  'snapshots installed',
  'fetches',
  // Clients.
  'writes acknowledged',
  'writes of unknown outcome',
  'writes forwarded',
  'linearizable reads',
  'reads under a lease',
  'session reads',
  'once repeated',
  'once answered from the table',
  'proposals replaced',
  'logs cut',
  // What comes of it.
  'elections',
  'entries committed',
  'states compared',
] as const;

export type Happening = (typeof HAPPENINGS)[number];

export class Tally {
  readonly counts = new Map<Happening, number>();

  add(what: Happening, count = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + count);
  }

  of(what: Happening): number {
    return this.counts.get(what) ?? 0;
  }

  addAll(other: Tally): void {
    for (const [what, count] of other.counts) this.add(what, count);
  }

  /** What never happened. */
  get missing(): Happening[] {
    return HAPPENINGS.filter((what) => this.of(what) === 0);
  }
}

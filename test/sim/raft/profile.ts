/**
 * What kind of trouble a seed has. Each kind is present in some seeds and absent in others, at strengths that vary, since faults
 * that are always there hide each other: a group that never has a leader for long never commits anything that could be lost
 * (Groce et al., "Swarm Testing", 2012).
 */
import type { Chance } from './chance.ts';

/** Virtual time of one tick. */
export const TICK_MS = 10;

export interface Profile {
  /** How long there is trouble. */
  readonly troubleMs: number;
  readonly voters: number;
  readonly clients: number;
  /** Mean time between a client's operations. */
  readonly thinkMs: number;
  readonly clientTimeoutMs: number;
  /** Mean time between the writes and reads of nobody. */
  readonly pokeEveryMs: number;

  // The core.
  readonly electionTicks: number;
  readonly leaseTicks: number;
  readonly appendBytes: number;
  readonly windowMessages: number;
  readonly windowBytes: number;
  readonly uncommittedBytes: number;
  readonly keptBytes: number;

  // The network.
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly lossPercent: number;
  readonly repeatPercent: number;
  /** Messages that arrive when everybody has forgotten them. */
  readonly heldPercent: number;
  readonly heldMs: number;
  /** Messages of a link keep their order, but for those held back. */
  readonly isOrdered: boolean;

  // Mean times between events of a kind in the whole world; Infinity: never.
  readonly cutEveryMs: number;
  readonly partitionEveryMs: number;
  readonly usurpEveryMs: number;
  readonly restartVotersEveryMs: number;
  readonly loopEveryMs: number;
  readonly loseTailEveryMs: number;
  readonly holdEveryMs: number;
  readonly cutForMs: number;
  readonly crashEveryMs: number;
  readonly crashAllEveryMs: number;
  readonly downForMs: number;
  readonly freezeEveryMs: number;
  readonly clockEveryMs: number;
  readonly fullEveryMs: number;
  readonly syncFailsEveryMs: number;
  readonly slowDiskEveryMs: number;
  readonly snapshotEveryMs: number;
  readonly changeEveryMs: number;
  readonly wipeEveryMs: number;
  readonly transferEveryMs: number;
  readonly contestEveryMs: number;
  readonly slowApplyEveryMs: number;

  /** Of ticks: clocks run at up to this much more or less than real time. */
  readonly skewPercent: number;
  /** From a write to its completion. */
  readonly diskMs: number;
}

export function drawProfile(c: Chance): Profile {
  const hasLease = c.percent(30);
  // A leader that is wrong about its lease is only so for a while: elections must be quicker than that.
  const electionTicks = hasLease ? c.pick([10, 16]) : c.pick([4, 4, 5, 8, 10]);
  const electionMs = electionTicks * TICK_MS;
  // In election time-outs. A kind of trouble that is there at all is there often enough to meet others, and sometimes very often.
  const every = (percent: number, from: number, to: number) =>
    c.percent(percent) ? electionMs * from * (to / from) ** c.between(0, 1) : Number.POSITIVE_INFINITY;
  return {
    troubleMs: electionMs * (hasLease ? c.between(15, 30) : c.between(25, 60)),
    voters: c.pick([3, 3, 3, 3, 5, 5, 5, 4, 2]),
    clients: 2 + c.below(4),
    thinkMs: c.pick([5, 15, 40]),
    clientTimeoutMs: c.pick([80, 200, 500]),
    pokeEveryMs: c.pick([3, 8, 25]),
    electionTicks,
    leaseTicks: hasLease ? Math.floor(electionTicks / 2) : 0,
    appendBytes: c.pick([1, 60, 200, 4000]),
    windowMessages: 1 + c.below(6),
    windowBytes: c.pick([1, 100, 1000, 10_000]),
    uncommittedBytes: c.pick([200, 2000, 100_000]),
    keptBytes: c.pick([0, 0, 100, 1000, 100_000]),
    delayMs: hasLease ? c.pick([0.2, 1]) : c.pick([0.2, 1, 1, 4]),
    jitterMs: hasLease ? c.pick([0.2, 2, 8]) : c.pick([0.2, 2, 8, 20]),
    lossPercent: hasLease ? c.pick([0, 2]) : c.pick([0, 0, 2, 12, 30]),
    repeatPercent: c.pick([0, 0, 2, 10]),
    heldPercent: c.pick([0, 0.5, 2, 5, 15]),
    heldMs: c.pick([60, 200, 800]),
    isOrdered: c.percent(40),
    cutEveryMs: every(45, 4, 30),
    partitionEveryMs: every(60, 4, 20),
    usurpEveryMs: every(45, 1.5, 10),
    restartVotersEveryMs: every(hasLease ? 60 : 15, 3, 12),
    loopEveryMs: every(25, 4, 20),
    holdEveryMs: every(35, 3, 12),
    loseTailEveryMs: every(25, 3, 12),
    cutForMs: electionMs * c.pick([0.5, 1.5, 2.5, 4]),
    crashEveryMs: every(60, 2, 15),
    crashAllEveryMs: every(15, 8, 40),
    downForMs: electionMs * c.pick([0.1, 0.5, 2]),
    freezeEveryMs: every(40, 1.5, 10),
    clockEveryMs: every(30, 2, 15),
    fullEveryMs: every(20, 3, 15),
    syncFailsEveryMs: every(20, 3, 20),
    slowDiskEveryMs: every(40, 1.5, 10),
    snapshotEveryMs: every(70, 1, 8),
    changeEveryMs: every(50, 1, 8),
    wipeEveryMs: every(20, 5, 25),
    transferEveryMs: every(35, 1, 8),
    contestEveryMs: every(30, 1.5, 8),
    slowApplyEveryMs: every(20, 3, 12),
    // A lease holds while no clock runs (electionTicks - 1) / leaseTicks as fast as another.
    skewPercent: hasLease ? c.pick([0, 10, 20]) : c.pick([0, 5, 30]),
    diskMs: hasLease ? c.pick([0.1, 1]) : c.pick([0.1, 1, 1, 5, 15]),
  };
}

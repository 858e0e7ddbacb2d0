/**
 * The network of a simulated world: what is sent arrives late, twice, out of order, or never. Links are directed, so one
 * may be cut one way. Clients are endpoints too, with negative numbers; their links are never cut, but lose.
 */
import type { Chance } from './chance.ts';
import type { Events } from './events.ts';
import type { Profile } from './profile.ts';
import type { Tally } from './tally.ts';

/** So often part of a message that takes long arrives. */
const PART_MS = 50;
/** A repeated message arrives again within so many of its delays. */
const REPEAT_DELAYS = 20;

export class Network {
  private isCalm = false;
  /** What is under way when calm begins and would arrive later than this never does. */
  private lastTroubleMs = Number.POSITIVE_INFINITY;
  /** "from>to", and how often it is cut. */
  readonly cut = new Map<string, number>();
  /** Cut since somebody last asked. */
  private fresh: string[] = [];
  /** What waits on links that are held, by link. */
  private readonly held = new Map<string, (() => void)[]>();
  private readonly events: Events;
  private readonly chance: Chance;
  private readonly profile: Profile;
  private readonly tally: Tally;
  /** When the last message of a link arrives, for links that keep the order. */
  private readonly lastAt = new Map<string, number>();

  constructor(events: Events, chance: Chance, profile: Profile, tally: Tally) {
    this.events = events;
    this.chance = chance;
    this.profile = profile;
    this.tally = tally;
  }

  /**
   * `lost` is called at once when it is known that the message will not arrive; `part` when part of it has, and the rest takes
   * longer.
   */
  send(from: number, to: number, deliver: () => void, lost: () => void = () => {}, part?: () => void): void {
    const { chance: c, profile: p, tally } = this;
    const link = `${from}>${to}`;
    if (this.isCalm && !this.cut.has(link)) {
      this.events.after(this.ordered(link, p.delayMs / 2), deliver);
      return;
    }
    if (this.cut.has(link)) {
      tally.add('messages cut off');
      lost();
      return;
    }
    const waiting = this.held.get(link);
    if (waiting !== undefined) {
      waiting.push(deliver);
      return;
    }
    if (c.percent(p.lossPercent)) {
      tally.add('messages lost');
      lost();
      return;
    }
    if (c.percent(p.repeatPercent)) {
      tally.add('messages repeated');
      this.arrive(link, this.delay() * c.between(1, REPEAT_DELAYS), deliver);
    }
    if (c.percent(p.heldPercent)) {
      tally.add('messages held back');
      const waitMs = c.wait(p.heldMs);
      if (part !== undefined) for (let at = PART_MS; at < waitMs; at += PART_MS) this.arrive(link, at, part);
      this.arrive(link, waitMs, deliver);
    } else {
      const delayMs = this.delay();
      this.arrive(link, p.isOrdered ? this.ordered(link, delayMs) : delayMs, deliver);
    }
  }

  /** Sends over a connection: what arrives does so once and in time, or it is lost. */
  stream(from: number, to: number, deliver: () => void): void {
    const { chance: c, profile: p } = this;
    const link = `${from}>${to}`;
    if (this.isCalm) {
      this.events.after(p.delayMs / 2, deliver);
    } else if (this.cut.has(link)) {
      this.tally.add('messages cut off');
    } else if (c.percent(p.lossPercent / 2)) {
      this.tally.add('messages lost');
    } else {
      this.arrive(link, this.delay(), deliver);
    }
  }

  /** What is under way when a link is cut is lost, mostly. */
  private arrive(link: string, delayMs: number, deliver: () => void): void {
    const { events } = this;
    events.after(delayMs, () => {
      if (events.now > this.lastTroubleMs) return;
      if (this.cut.has(link) && this.chance.percent(80)) this.tally.add('messages cut off');
      else deliver();
    });
  }

  private delay(): number {
    return this.profile.delayMs + this.chance.wait(this.profile.jitterMs);
  }

  private ordered(link: string, delayMs: number): number {
    const { now } = this.events;
    const at = Math.max(now + delayMs, this.lastAt.get(link) ?? 0);
    this.lastAt.set(link, at);
    return at - now;
  }

  cutOneWay(from: number, to: number): void {
    const link = `${from}>${to}`;
    this.cut.set(link, (this.cut.get(link) ?? 0) + 1);
    this.fresh.push(link);
  }

  split(some: readonly number[], others: readonly number[]): void {
    for (const a of some) {
      for (const b of others) {
        this.cutOneWay(a, b);
        this.cutOneWay(b, a);
      }
    }
  }

  /** What is sent from one to the other waits until `release`. */
  hold(from: number, to: number): void {
    const link = `${from}>${to}`;
    if (!this.held.has(link)) this.held.set(link, []);
  }

  /** Everything that was held arrives, in any order. */
  release(): void {
    for (const [link, waiting] of this.held) {
      for (const deliver of waiting) this.arrive(link, this.delay(), deliver);
    }
    this.held.clear();
  }

  /** The links cut since this was last asked, to be mended later. */
  takeFresh(): string[] {
    const links = this.fresh;
    this.fresh = [];
    return links;
  }

  /** Takes these cuts back; others of the same links stay. */
  mend(links: readonly string[]): void {
    for (const link of links) {
      const left = (this.cut.get(link) ?? 0) - 1;
      if (left > 0) this.cut.set(link, left);
      else this.cut.delete(link);
    }
  }

  heal(): void {
    this.cut.clear();
    this.fresh = [];
  }

  /** From now on nothing is lost, and everything is quick; what is under way arrives within `graceMs` or never. */
  calm(graceMs: number): void {
    this.heal();
    this.held.clear();
    this.isCalm = true;
    this.lastTroubleMs = this.events.now + graceMs;
  }
}

/** Reads that wait for the leader's word: how long, and who is let go. */
import { describe, expect, it } from 'vitest';
import type { RaftCore } from '../../engine/raft/core.ts';
import { ANSWER_MS } from '../../net/replica/forwards.ts';
import { BOUNDED, LINEARIZABLE, Reads, SESSION } from '../../net/replica/reads.ts';
import type { Session } from '../../net/session.ts';

/** What reads need of a session: it has sent one request of ten bytes, which is offered again after each `resume`. */
class FakeSession {
  received = 10;
  requestEnd = 10;
  permitted = 0;
  fence = 0;
  unreadEnd = 0;
  unreadSinceMs = 0;
  resumed = 0;

  resume(): void {
    this.resumed++;
  }

  /** Another request comes. */
  send(): void {
    this.received += 10;
    this.requestEnd += 10;
  }
}

class Asked {
  readonly tokens: number[] = [];
  /** Of a replica that may lead by a lease; it holds while the time it was told is not later. */
  readonly lease = { told: 0, until: -1 };
  nowTicks = 0;
  /** By the clock that no pause stops. */
  clockMs = 0;
  readonly log = { lastIndex: 0 };
  readonly reads: Reads;

  constructor(leaseTicks = 0) {
    const { lease } = this;
    const core = {
      isLeader: leaseTicks > 0,
      state: { options: { leaseTicks }, log: this.log },
      get readsAtOnce() {
        return lease.told <= lease.until;
      },
      readIndex: (token: number) => this.tokens.push(token),
    };
    const tellTime = (): void => {
      lease.told = this.nowTicks;
    };
    this.reads = new Reads(core as unknown as RaftCore, tellTime, () => this.clockMs);
  }

  permits(session: FakeSession, level = LINEARIZABLE, maxAgeMs = 0): boolean {
    return this.reads.permits(session as unknown as Session, level, maxAgeMs);
  }

  isLate(session: FakeSession): boolean {
    return this.reads.isLate(session as unknown as Session);
  }

  /** The read gets an error. */
  forget(session: FakeSession): void {
    this.reads.forget(session as unknown as Session);
  }

  /** A tick, so many ms from now. */
  tick(inMs: number): void {
    this.reads.expire(performance.now() + inMs);
  }
}

describe('a read that nobody answers', () => {
  it('is let go when it is late, also when it was asked again and again', () => {
    const asked = new Asked();
    const session = new FakeSession();
    expect(asked.permits(session)).toBe(false);
    for (let i = 0; i < 3; i++) {
      asked.reads.ask();
      asked.reads.answered({ token: asked.tokens[i], index: 0 });
    }
    asked.reads.ask();
    asked.tick(ANSWER_MS - 1000);
    expect([session.resumed, asked.isLate(session)]).toEqual([0, false]);
    asked.tick(ANSWER_MS);
    expect([session.resumed, asked.isLate(session)]).toEqual([1, true]);
    expect(asked.permits(session)).toBe(false);
    expect(asked.isLate(session)).toBe(true);
  });

  it('is not asked for any more, nor let go again', () => {
    const asked = new Asked();
    const session = new FakeSession();
    asked.permits(session);
    asked.reads.ask();
    asked.tick(ANSWER_MS);
    asked.permits(session);
    asked.forget(session);
    asked.tick(2 * ANSWER_MS);
    expect(session.resumed).toBe(1);
    asked.reads.answered({ token: asked.tokens[0], index: 0 });
    asked.reads.ask();
    expect(asked.tokens.length).toBe(1);
    expect(asked.reads.isWaiting).toBe(false);
  });

  it('does not make the next one late', () => {
    const asked = new Asked();
    const session = new FakeSession();
    asked.permits(session);
    session.unreadSinceMs -= 2 * ANSWER_MS;
    // It got another error, of which nothing is known here.
    session.send();
    expect(asked.permits(session)).toBe(false);
    asked.tick(0);
    expect([session.resumed, asked.isLate(session)]).toEqual([0, false]);
  });
});

describe('a read whose index is known', () => {
  it('waits for it as long as it takes', () => {
    const asked = new Asked();
    const session = new FakeSession();
    asked.permits(session);
    asked.reads.ask();
    asked.reads.answered({ token: asked.tokens[0], index: 7 });
    asked.tick(2 * ANSWER_MS);
    expect(session.resumed).toBe(0);
    asked.reads.advance(7);
    expect([session.resumed, asked.permits(session)]).toEqual([1, true]);
    session.send();
    session.fence = 9;
    asked.log.lastIndex = 9;
    expect(asked.permits(session, SESSION)).toBe(false);
    asked.tick(2 * ANSWER_MS);
    expect([session.resumed, asked.isLate(session)]).toEqual([1, false]);
  });
});

describe('a read of a node that applies nothing any more', () => {
  it('is let go, whatever it waits for', () => {
    const asked = new Asked();
    const [unasked, fenced] = [new FakeSession(), new FakeSession()];
    asked.permits(unasked);
    asked.reads.ask();
    asked.reads.answered({ token: asked.tokens[0], index: 7 });
    fenced.fence = 7;
    asked.log.lastIndex = 7;
    expect(asked.permits(fenced, SESSION)).toBe(false);
    asked.tick(2 * ANSWER_MS);
    expect([unasked.resumed, fenced.resumed]).toEqual([0, 0]);
    asked.reads.advance(6);
    asked.tick(4 * ANSWER_MS);
    expect([unasked.resumed, fenced.resumed]).toEqual([0, 0]);
    asked.tick(5 * ANSWER_MS);
    expect([unasked.resumed, fenced.resumed]).toEqual([1, 1]);
    expect([asked.isLate(unasked), asked.isLate(fenced)]).toEqual([true, true]);
    expect([
      asked.reads.isBehind(unasked as unknown as Session),
      asked.reads.isBehind(fenced as unknown as Session),
    ]).toEqual([true, true]);
  });
});

describe('a read behind a fence that is not in the log here', () => {
  it('is let go when it is late, at whatever level', () => {
    for (const level of [SESSION, BOUNDED, LINEARIZABLE]) {
      const asked = new Asked();
      const session = new FakeSession();
      session.fence = 1000;
      if (level !== SESSION) session.permitted = 10;
      expect(asked.permits(session, level, 100)).toBe(false);
      asked.tick(ANSWER_MS - 1000);
      expect([session.resumed, asked.isLate(session)]).toEqual([0, false]);
      asked.tick(ANSWER_MS);
      expect([session.resumed, asked.permits(session, level, 100), asked.isLate(session)]).toEqual([1, false, true]);
      asked.forget(session);
      expect(asked.reads.isWaiting).toBe(false);
    }
  });

  it('waits on when it is', () => {
    const asked = new Asked();
    const session = new FakeSession();
    session.fence = 1000;
    expect(asked.permits(session, SESSION)).toBe(false);
    asked.log.lastIndex = 1000;
    asked.tick(ANSWER_MS);
    expect([asked.permits(session, SESSION), asked.isLate(session)]).toEqual([false, false]);
    asked.reads.advance(1000);
    expect(asked.permits(session, SESSION)).toBe(true);
  });
});

describe('a bounded read', () => {
  it('is served from state as old as the last question that was answered, by a clock that goes on', () => {
    const asked = new Asked();
    const session = new FakeSession();
    asked.clockMs = 1000;
    expect(asked.permits(session, BOUNDED, 100)).toBe(false);
    asked.reads.ask();
    // However long the answer takes: it tells of the time of the question.
    asked.clockMs = 1090;
    asked.reads.answered({ token: 1, index: 7 });
    expect(asked.permits(session, BOUNDED, 100)).toBe(false);
    asked.reads.advance(7);
    expect([session.resumed, asked.permits(session, BOUNDED, 100)]).toEqual([1, true]);
    session.send();
    asked.clockMs = 1100;
    expect(asked.permits(session, BOUNDED, 100)).toBe(true);
    // The process stood still.
    asked.clockMs = 4000;
    session.send();
    expect(asked.permits(session, BOUNDED, 100)).toBe(false);
    expect(asked.permits(session, BOUNDED, 3000)).toBe(true);
  });
});

describe('a read under a lease', () => {
  it('is served at once, as far as its session has sent, by the time of now', () => {
    const asked = new Asked(8);
    asked.lease.until = 7;
    const session = new FakeSession();
    session.received = 30;
    expect(asked.permits(session)).toBe(true);
    asked.nowTicks = 8;
    session.requestEnd = 30;
    expect(asked.permits(session)).toBe(true);
    // Sent when the lease had run out, of which no tick has told.
    session.send();
    expect(asked.permits(session)).toBe(false);
    asked.reads.ask();
    expect(asked.tokens).toEqual([1]);
  });

  it('waits for what its session has written or was given a fence for', () => {
    const asked = new Asked(8);
    asked.lease.until = 7;
    const session = new FakeSession();
    session.fence = 9;
    expect(asked.permits(session)).toBe(false);
    asked.reads.ask();
    expect(asked.tokens).toEqual([]);
    asked.reads.advance(9);
    expect([session.resumed, asked.permits(session)]).toEqual([1, true]);
  });
});

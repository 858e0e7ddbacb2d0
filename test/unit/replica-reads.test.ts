/** Reads that wait for the leader's word: how long, and who is let go. */
import { describe, expect, it } from 'vitest';
import type { RaftCore } from '../../engine/raft/core.ts';
import { ANSWER_MS } from '../../net/replica/forwards.ts';
import { LINEARIZABLE, Reads, SESSION } from '../../net/replica/reads.ts';
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
  readonly reads: Reads;

  constructor(leaseTicks = 0) {
    const { lease } = this;
    const core = {
      isLeader: leaseTicks > 0,
      state: { options: { leaseTicks } },
      get readsAtOnce() {
        return lease.told <= lease.until;
      },
      readIndex: (token: number) => this.tokens.push(token),
    };
    this.reads = new Reads(core as unknown as RaftCore, () => {
      lease.told = this.nowTicks;
    });
  }

  permits(session: FakeSession, level = LINEARIZABLE): boolean {
    return this.reads.permits(session as unknown as Session, level, 0);
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
    expect(asked.permits(session, SESSION)).toBe(false);
    asked.tick(2 * ANSWER_MS);
    expect([session.resumed, asked.isLate(session)]).toEqual([1, false]);
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

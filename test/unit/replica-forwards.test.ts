/** Writes that a follower passes on: to whom, in which order, and what comes back. */
import { describe, expect, it } from 'vitest';
import { Forwarded, Forwards, LONG_REPLY_TEXT, NO_LEADER_TEXT, UNKNOWN_TEXT } from '../../net/replica/forwards.ts';
import { type ReplyTarget, requestOf } from '../../net/replica/proposals.ts';
import {
  FORWARD_DONE,
  FORWARD_NOT_LEADER,
  FORWARD_REPLY,
  type Forward,
  type ForwardReply,
} from '../../proto/messages.ts';

class Client implements ReplyTarget {
  readonly replies: [number, string][] = [];

  deliver(seq: number, from: Uint8Array, start: number, length: number): void {
    this.replies.push([seq, Buffer.from(from.subarray(start, start + length)).toString()]);
  }
}

class Net {
  leader = 2;
  readonly sent: { to: number; message: Forward; words: string }[] = [];
  readonly unreachable = new Set<number>();
  readonly forwards = new Forwards({
    group: 0,
    leader: () => this.leader,
    send: (to, message) => {
      if (this.unreachable.has(to)) return false;
      const { request } = message as Forward;
      const words = Buffer.from(request)
        .toString()
        .replace(/[*$]\d+\r\n/g, '')
        .replaceAll('\r\n', ' ')
        .trim();
      this.sent.push({ to, message: message as Forward, words });
      return true;
    },
    blocked: () => {},
  });

  add(client: Client, seq: number, words: string): void {
    this.forwards.add(requestOf(words.split(' ')), 0, 2, client, undefined, seq);
    this.forwards.flush();
  }

  answer(i: number, status: number, reply = '', leader = 0): void {
    const { id } = this.sent[i].message;
    const bytes = Buffer.from(reply);
    this.forwards.answered({ type: FORWARD_REPLY, group: 0, id, status, leader, term: 0, index: 1, reply: bytes });
  }

  get log(): string[] {
    return this.sent.map(({ to, words }) => `${to}: ${words}`);
  }
}

describe('what one client forwards', () => {
  it('stays in order when the leader that it went to is none', () => {
    const net = new Net();
    const client = new Client();
    net.add(client, 0, 'set a 1');
    net.leader = 3;
    net.add(client, 1, 'set a 2');
    expect(net.log).toEqual(['2: set a 1']);
    net.answer(0, FORWARD_NOT_LEADER);
    net.add(new Client(), 0, 'set b 1');
    expect(net.log).toEqual(['2: set a 1', '3: set a 1', '3: set a 2', '3: set b 1']);
  });

  it('stays in order when there is no leader for a while', () => {
    const net = new Net();
    const client = new Client();
    net.add(client, 0, 'set a 1');
    net.leader = 0;
    net.add(client, 1, 'set a 2');
    net.answer(0, FORWARD_NOT_LEADER);
    net.leader = 3;
    net.forwards.flush();
    expect(net.log.slice(1)).toEqual(['3: set a 1', '3: set a 2']);
  });

  it('keeps others waiting for nothing', () => {
    const net = new Net();
    net.add(new Client(), 0, 'set a 1');
    net.leader = 3;
    net.add(new Client(), 0, 'set b 1');
    expect(net.log).toEqual(['2: set a 1', '3: set b 1']);
  });

  it('waits for the answer of a node that is gone no longer than till that is known', () => {
    const net = new Net();
    const client = new Client();
    net.add(client, 0, 'set a 1');
    net.leader = 3;
    net.add(client, 1, 'set a 2');
    net.forwards.lost(2);
    net.forwards.flush();
    expect(client.replies).toEqual([[0, `-${UNKNOWN_TEXT}\r\n`]]);
    expect(net.log.slice(1)).toEqual(['3: set a 2']);
  });

  it('is answered in time when nobody can be reached', () => {
    const net = new Net();
    const client = new Client();
    net.unreachable.add(2);
    net.add(client, 0, 'set a 1');
    net.add(client, 1, 'set a 2');
    expect(net.forwards.expire(performance.now())).toBe(false);
    expect(net.forwards.expire(performance.now() + 5001)).toBe(true);
    expect(client.replies.map(([seq, text]) => [seq, text.slice(1, 12)])).toEqual([
      [0, NO_LEADER_TEXT.slice(0, 11)],
      [1, NO_LEADER_TEXT.slice(0, 11)],
    ]);
    expect(net.forwards.isEmpty).toBe(true);
  });

  it('travels in messages of bounded length', () => {
    const net = new Net();
    const client = new Client();
    net.leader = 0;
    for (let i = 0; i < 8; i++)
      net.forwards.add(requestOf(['set', 'a', 'x'.repeat(100_000)]), 0, 2, client, undefined, i);
    net.leader = 2;
    net.forwards.flush();
    expect(net.sent.map(({ message }) => Math.round(message.request.length / 100_000))).toEqual([3, 3, 2]);
  });

  it('does not take the answers to what an earlier life of this node has asked', () => {
    const lives = [new Net(), new Net()];
    const client = new Client();
    for (const net of lives) net.add(client, 0, 'incr n');
    const { id } = lives[0].sent[0].message;
    const reply = Buffer.from(':1\r\n');
    lives[1].forwards.answered({
      type: FORWARD_REPLY,
      group: 0,
      id,
      status: FORWARD_DONE,
      leader: 0,
      term: 0,
      index: 1,
      reply,
    });
    expect(client.replies).toEqual([]);
  });
});

describe('the replies to what was forwarded', () => {
  const request: Forward = { type: 0 as never, group: 0, id: 7, database: 0, resp: 2, request: new Uint8Array(0) };

  it('go back together, and one that is too long for that says so', () => {
    const replies: ForwardReply[] = [];
    const forwarded = new Forwarded(1, request, (_to, message) => replies.push(message as ForwardReply) > 0);
    const long = new Uint8Array(61 * 1024 * 1024);
    const [a, b] = [forwarded.next(), forwarded.next()];
    forwarded.close();
    forwarded.deliver(b, Buffer.from(':2\r\n'), 0, 4);
    expect(replies).toEqual([]);
    forwarded.deliver(a, long, 0, long.length);
    expect(replies.map(({ reply }) => Buffer.from(reply).toString())).toEqual([`-${LONG_REPLY_TEXT}\r\n:2\r\n`]);
  });
});

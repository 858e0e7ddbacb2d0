/** What the client of an SPOP reads, whose members were chosen before it was proposed. */
import { describe, expect, it } from 'vitest';
import { errorBytes, NO_LEADER_TEXT } from '../../net/replica/forwards.ts';
import { Planner } from '../../net/replica/planner.ts';
import type { ReplyTarget } from '../../net/replica/proposals.ts';
import { TestEngine } from '../support/engine.ts';

/** The request `SPOP s …` planned in an engine where s has only the member m, and what its client reads of it. */
function plan(...words: string[]): { request: string[]; target: ReplyTarget; read: string[]; entries: number[] } {
  const engine = new TestEngine({ shards: 1, arenaBytes: 16 * 1024 * 1024 });
  engine.run('sadd', 's', 'm');
  const { call } = engine;
  const parts = ['spop', 's', ...words];
  call.buf = new Uint8Array(Buffer.from(parts.join('')));
  call.reserveArgs(parts.length);
  call.argc = parts.length;
  for (let i = 0, at = 0; i < parts.length; at += parts[i++].length) {
    call.off[i] = at;
    call.len[i] = parts[i].length;
  }
  call.begin(engine.table.named('spop')!);
  const planned = new Planner(call, engine.table).planPop(2)!;
  const read: string[] = [];
  const entries: number[] = [];
  const target = planned.answer({
    deliver: (_seq, from, start, length) => read.push(Buffer.from(from.subarray(start, start + length)).toString()),
    settled: (index) => entries.push(index),
  });
  const request = Array.from({ length: planned.request.argc }, (_, i) => planned.request.str(i));
  return { request, target, read, entries };
}

describe('a planned SPOP', () => {
  it.each([
    [[], '$1\r\nm\r\n'],
    [['3'], '*1\r\n$1\r\nm\r\n'],
  ])('gives its client what was chosen: %j', (words, reply) => {
    const { request, target, read, entries } = plan(...words);
    expect(request.map((word) => word.toLowerCase())).toEqual(['srem', 's', 'm']);
    target.settled?.(7);
    target.deliver(0, Buffer.from(':1\r\n'), 0, 4);
    expect(read).toEqual([reply]);
    expect(entries).toEqual([7]);
  });

  it('tells when it was not done', () => {
    const { target, read } = plan();
    const error = errorBytes(NO_LEADER_TEXT);
    target.deliver(0, error, 0, error.length);
    expect(read).toEqual([`-${NO_LEADER_TEXT}\r\n`]);
  });
});

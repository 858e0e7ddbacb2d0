/** A blocking command that had waited, and is told that nothing will come of it: its connection waits no more. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { RaftCore } from '../../engine/raft/core.ts';
import { Blocking } from '../../net/blocking.ts';
import { Clients } from '../../net/clients.ts';
import type { Dispatcher } from '../../net/dispatch.ts';
import { DONE } from '../../net/executor.ts';
import { Parser } from '../../net/parser.ts';
import type { Forwards } from '../../net/replica/forwards.ts';
import { ReplicaFront } from '../../net/replica/front.ts';
import type { Proposals } from '../../net/replica/proposals.ts';
import type { Reads } from '../../net/replica/reads.ts';
import type { Session } from '../../net/session.ts';
import { TestEngine } from '../support/engine.ts';
import { MapExecutor } from '../support/map-executor.ts';
import { MemoryTransport } from '../support/memory-transport.ts';

const engine = new TestEngine({ shards: 1, arenaBytes: 16 * 1024 * 1024 });
const { call, table } = engine;
let blocking: Blocking;
let session: Session;
let core: { isLeader: boolean; state: object };
let front: ReplicaFront;

beforeEach(() => {
  blocking = new Blocking();
  const clients = new Clients(new MapExecutor());
  session = MemoryTransport.open(clients).session;
  clients.close();
  core = {
    isLeader: false,
    state: { leader: 0, transferee: 0, id: 1, config: { wasRemoved: () => false } },
  };
  front = new ReplicaFront(
    { call, table, blocking, writes: { mayGrow: () => false } } as unknown as Dispatcher,
    core as RaftCore,
    { hasRoom: true } as Proposals,
    {} as Forwards,
    {} as Reads,
    new Parser(clients.limits),
    () => true,
  );
  engine.run('blpop', 'key', '0');
  const row = table.resolve(call);
  if (row === undefined) throw new Error('no BLPOP');
  blocking.add(session, call, row);
  expect([blocking.count, session.blocked]).toEqual([1, true]);
});

/** The session tries again, and is answered with an error. */
function expectRefused(text: string): void {
  const row = table.resolve(call);
  if (row === undefined) throw new Error('no BLPOP');
  call.reply.length = 0;
  expect(front.execute(session, row)).toBe(DONE);
  expect(Buffer.from(call.reply.u8.subarray(0, call.reply.length)).toString()).toContain(text);
  expect([blocking.count, session.blocked]).toEqual([0, false]);
}

describe('a blocking command that waited', () => {
  it('and finds no leader', () => {
    front.ledMs = Number.NEGATIVE_INFINITY;
    expectRefused('-CLUSTERDOWN');
  });

  it('and finds that the leader cannot write its log', () => {
    core.isLeader = true;
    front.trouble = 'MISCONF no disk';
    expectRefused('-MISCONF no disk');
  });

  it('is refused by a leader without memory for what it moves, as any other write', () => {
    core.isLeader = true;
    engine.run('blmove', 'key', 'other', 'left', 'right', '0');
    expectRefused('-OOM command not allowed');
  });
});

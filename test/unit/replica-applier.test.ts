/** Entries as they are applied: their clock, what a snapshot takes the place of, what was overwritten. */
import { describe, expect, it } from 'vitest';
import { BatchWriter } from '../../engine/log/batch.ts';
import type { RaftCore } from '../../engine/raft/core.ts';
import { ENTRY_COMMAND, Entry } from '../../engine/raft/entry.ts';
import type { Dispatcher } from '../../net/dispatch.ts';
import { APPLIED, APPLY_LATER } from '../../net/dispatch-applying.ts';
import { Applier } from '../../net/replica/applier.ts';
import { type Proposal, Proposals, requestOf } from '../../net/replica/proposals.ts';
import { GroupState } from '../../net/replica/state.ts';
import { TestEngine } from '../support/engine.ts';

function entry(index: number, ...commands: [nowMs: number, words: string][]): Entry {
  const batch = new BatchWriter();
  for (const [nowMs, words] of commands) batch.add(requestOf(words.split(' ')), nowMs, 0, 0);
  const bytes = batch.u8.slice(0, batch.length);
  return new Entry(index, 1, ENTRY_COMMAND, bytes, 0, bytes.length);
}

class Machine {
  readonly engine = new TestEngine({ shards: 1, arenaBytes: 16 * 1024 * 1024 });
  readonly ran: string[] = [];
  readonly log = new Map<number, Entry>();
  readonly abandoned: number[] = [];
  readonly full: number[] = [];
  isBusy = false;
  replyText = '';
  readonly applier: Applier;

  constructor() {
    const { call, table } = this.engine;
    const dispatcher = {
      call,
      table,
      applying: {
        begin: () => {},
        end: () => {},
        giveUp: () => {},
        apply: () => {
          if (this.isBusy) return APPLY_LATER;
          this.ran.push(`${call.str(1)} at ${call.nowMs}`);
          if (this.replyText !== '') call.reply.error(this.replyText);
          return APPLIED;
        },
      },
    } as unknown as Dispatcher;
    this.applier = new Applier(dispatcher, new GroupState(), {
      entryAt: (index) => this.log.get(index),
      fetch: async () => [],
      applied: () => {},
      settled: () => {},
      abandoned: (_, command) => this.abandoned.push(command),
      more: () => {},
      full: (index) => this.full.push(index),
    });
    this.applier.restart(0, 0);
  }

  commit(...entries: Entry[]): void {
    for (const each of entries) this.log.set(each.index, each);
    this.applier.commit(entries[0].index, entries[entries.length - 1].index + 1);
    this.applier.run();
  }
}

describe('entries', () => {
  it('have a clock that never goes back, whatever the leader thought', () => {
    const machine = new Machine();
    machine.commit(
      entry(1, [1000, 'set a 1']),
      entry(2, [900, 'set b 1'], [950, 'set c 1']),
      entry(3, [1001, 'set d 1']),
    );
    expect(machine.ran).toEqual(['a at 1000', 'b at 1000', 'c at 1000', 'd at 1001']);
  });

  it('that ask for memory which is not there end the node', () => {
    const machine = new Machine();
    machine.replyText = 'OOM the shard of this key is full (its arena has no free page)';
    machine.commit(entry(1, [1000, 'set a 1']));
    expect(machine.full).toEqual([1]);
    machine.replyText = 'OOM of another kind';
    machine.commit(entry(2, [1000, 'set a 1']));
    expect(machine.full).toEqual([1]);
  });
});

describe('a snapshot', () => {
  it('takes the place of what was committed before it, and of nothing behind it', () => {
    const machine = new Machine();
    machine.commit(entry(1, [1, 'set a 1']));
    machine.isBusy = true;
    machine.commit(entry(2, [2, 'set b 1']), entry(3, [3, 'set c 1']));
    expect(machine.applier.isSettled).toBe(false);
    machine.applier.abandon(7);
    expect(machine.applier.isSettled).toBe(true);
    machine.isBusy = false;
    machine.commit(entry(8, [8, 'set h 1']));
    machine.commit(entry(9, [9, 'set i 1']));
    expect(machine.ran).toEqual(['a at 1']);
    machine.applier.resume(7, 7);
    machine.applier.run();
    expect(machine.ran).toEqual(['a at 1', 'h at 8', 'i at 9']);
    expect(machine.applier.appliedIndex).toBe(9);
  });
});

describe('proposals', () => {
  it('that were overwritten by the time this node leads again are given up, and keep nothing behind them waiting', () => {
    const state = { role: 0, term: 1, transferee: 0, uncommittedBytes: 0, options: { uncommittedBytes: 1 << 20 } };
    let next = 11;
    const core = { isLeader: true, state, propose: () => next++ } as unknown as RaftCore;
    const { call } = new TestEngine({ shards: 1, arenaBytes: 16 * 1024 * 1024 });
    const proposals = new Proposals(core);
    const lost: number[] = [];
    proposals.onGivenUp = (proposal: Proposal) => lost.push(proposal.index);
    const propose = (): void => {
      proposals.stage(requestOf(['set', 'a', '1']), call, 0, undefined, 0, 2);
      proposals.seal(true);
    };
    for (let i = 0; i < 4; i++) propose();
    // Another has led, and has left two of them.
    state.term = 3;
    next = 14;
    proposals.giveUpOverwritten(13, 3);
    expect(lost).toEqual([13, 14]);
    propose();
    expect([11, 12, 13, 14].map((index) => proposals.take(index)?.term)).toEqual([1, 1, undefined, 3]);
    expect(proposals.isEmpty).toBe(true);
    expect(proposals.unappliedBytes).toBe(0);
  });
});

/** What the server does with all shards: at once or later, it settles as the act does, and holds no lock afterwards. */
import { beforeEach, expect, it } from 'vitest';
import { Dispatcher } from '../../net/dispatch.ts';
import { Exclusive } from '../../net/dispatch-exclusive.ts';
import { MainShards } from '../../net/dispatch-shards.ts';
import { TestEngine } from '../support/engine.ts';

let shards: MainShards;
let replication: { isSettled: boolean };
let exclusive: Exclusive;
let exclusively: <T>(act: () => T) => Promise<T>;

beforeEach(() => {
  const { call } = new TestEngine({ shards: 2, arenaBytes: 16 * 1024 * 1024 });
  shards = new MainShards(call, { settledMs: 0 }, false);
  replication = { isSettled: true };
  exclusive = new Exclusive({ call, shards, replication } as unknown as Dispatcher);
  exclusively = Dispatcher.prototype.exclusively.bind({ exclusive } as unknown as Dispatcher) as typeof exclusively;
});

for (const waits of [false, true]) {
  const when = waits ? 'that had to wait' : 'at once';

  it(`gives what the act gives: ${when}`, async () => {
    replication.isSettled = !waits;
    const result = exclusively(() => shards.locks.held.join());
    replication.isSettled = true;
    exclusive.run();
    expect(await result).toBe('1,1');
    expect([...shards.locks.held]).toEqual([0, 0]);
  });

  it(`gives the error of the act, and lets go of the shards: ${when}`, async () => {
    replication.isSettled = !waits;
    shards.queued[0] = waits ? 1 : 0;
    const result = exclusively(() => {
      throw new Error('it is overtaken');
    });
    shards.queued[0] = 0;
    replication.isSettled = true;
    exclusive.run();
    await expect(result).rejects.toThrow('it is overtaken');
    expect([...shards.locks.held]).toEqual([0, 0]);
    expect(shards.fences.count).toBe(0);
  });
}

/**
 * Handlers touch keys of those shards only that were locked for them: what the row says of a request's keys covers every
 * key its handler looks up, in whole requests and in broken ones.
 */
import { describe, expect, it } from 'vitest';
import { SCOPE_ALL } from '../../engine/command.ts';
import { markShards } from '../../engine/locks.ts';
import { Random } from '../../engine/random.ts';
import { type Arg, TestEngine } from '../support/engine.ts';
import { anyCommand } from '../support/gen/any.ts';
import { shown } from '../support/replies.ts';

const SHARDS = 64;
const COMMANDS = 30_000;

/** An engine that notes the shards of the keys that handlers look up. */
class WatchedEngine extends TestEngine {
  readonly touched = new Set<number>();

  constructor() {
    super({ shards: SHARDS, arenaBytes: 16 * 1024 * 1024 });
    const { call } = this;
    const hashKey = call.hashKey.bind(call);
    const hashKeyAt = call.hashKeyAt.bind(call);
    call.hashKey = (i) => {
      hashKey(i);
      this.touched.add(call.arena.shard);
    };
    call.hashKeyAt = (buf, start, length) => {
      hashKeyAt(buf, start, length);
      this.touched.add(call.arena.shard);
    };
  }

  /** The shards that a request touches without having locked them. */
  unlocked(command: Arg[]): number[] {
    this.touched.clear();
    this.run(...command);
    const touched = [...this.touched];
    const row = this.table.resolve(this.call);
    if (touched.length === 0 || row === undefined || row.scope === SCOPE_ALL) return [];
    const locked = new Uint8Array(SHARDS);
    markShards(this.call, row, locked);
    return touched.filter((shard) => locked[shard] === 0);
  }
}

describe('the shards that a command locks', () => {
  it('are those of all keys that its handler looks up', () => {
    const engine = new WatchedEngine();
    const random = new Random(99);
    for (let n = 0; n < COMMANDS; n++) {
      const command = anyCommand(random);
      const some = random.below(8) === 0 ? command.slice(0, 1 + random.below(command.length)) : command;
      expect(engine.unlocked(some), shown(some)).toEqual([]);
      if (n % 1000 === 0) engine.run('flushall');
    }
  });
});

/**
 * Compares how many changes a command counts (`call.dirty`) with what Redis adds to rdb_changes_since_last_save: whether
 * a command is logged and replicated hangs on it.
 */
import { expect } from 'vitest';
import type { Arg, TestEngine } from './engine.ts';
import type { RawClient } from './redis.ts';

const CHANGES = /rdb_changes_since_last_save:(\d+)/;

/** Runs `commands` on both sides; fails at the first that counts differently. Replies are not compared. */
export async function compareDirty(
  engine: TestEngine,
  redis: RawClient,
  commands: readonly (readonly Arg[])[],
): Promise<void> {
  const probe = ['info', 'persistence'];
  const replies = await redis.pipeline([probe, ...commands.flatMap((command) => [command, probe])]);
  let changes = Number(CHANGES.exec(replies[0])?.[1]);
  for (let i = 0; i < commands.length; i++) {
    const now = Number(CHANGES.exec(replies[2 + 2 * i])?.[1]);
    engine.call.dirty = 0;
    engine.run(...commands[i]);
    const text = `command ${i}: ${commands[i].map(String).join(' ').slice(0, 300)}`;
    expect(`${text} ${engine.call.dirty}`).toBe(`${text} ${now - changes}`);
    changes = now;
  }
}

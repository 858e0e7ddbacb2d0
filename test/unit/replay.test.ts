import { describe, expect, it } from 'vitest';
import { BatchWriter } from '../../engine/log/batch.ts';
import { Replayer } from '../../net/replay.ts';
import { TestEngine } from '../support/engine.ts';

/** Logs commands, and runs them again on another engine. */
function replayed(commands: string[], settings: Record<string, number> = {}): TestEngine {
  const writer = new BatchWriter();
  const first = new TestEngine();
  for (const line of commands) {
    first.line(line);
    writer.add(first.call, first.call.nowMs, first.call.db, 0);
  }
  const second = new TestEngine();
  for (const [name, value] of Object.entries(settings)) second.settings.set(name as 'maxmemory', value);
  new Replayer(second.call, second.table).run(1, writer.u8, 0, writer.length);
  return second;
}

describe('Replayer', () => {
  it('passes over keys of a wrong type where a command may have waited, and there only', () => {
    const engine = replayed(['SET s x', 'RPUSH l a b', 'LMPOP 2 s l LEFT', 'ZADD z 1 m', 'ZMPOP 2 s z MIN']);
    expect(engine.line('LRANGE l 0 -1')).toBe('*2\r\n$1\r\na\r\n$1\r\nb\r\n');
    expect(engine.line('ZCARD z')).toBe(':1\r\n');
    const waited = replayed(['SET s x', 'RPUSH l a b', 'BLMPOP 0 2 s l LEFT']);
    expect(waited.line('LRANGE l 0 -1')).toBe('*1\r\n$1\r\nb\r\n');
  });

  it.each(['MOVE k 15', 'COPY k c DB 15', 'SWAPDB 0 15'])(
    'ends at %s where there is no such database any more',
    (command) => {
      expect(() => replayed(['SET k v', command], { databases: 8 })).toThrow(/start with more --databases/);
    },
  );

  it('makes strings as long as they were, whatever proto-max-bulk-len is now', () => {
    const commands = ['SETRANGE s 5000 x', 'APPEND s y', 'SETBIT b 80000 1', 'BITFIELD f SET u8 #9000 7'];
    const engine = replayed(commands, { 'proto-max-bulk-len': 100 });
    expect(['s', 'b', 'f'].map((key) => engine.line(`STRLEN ${key}`))).toEqual([
      ':5002\r\n',
      ':10001\r\n',
      ':9001\r\n',
    ]);
    expect(engine.line('APPEND s z')).toMatch(/^-ERR string exceeds/);
  });
});

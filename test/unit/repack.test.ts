/** Long strings put together again, so that what lay between them is one piece. */
import { describe, expect, it } from 'vitest';
import { ArenaFullError, hasRoom } from '../../engine/alloc.ts';
import { Random } from '../../engine/random.ts';
import { repackStrings } from '../../engine/repack.ts';
import { verifyAlloc } from '../../engine/verifyalloc.ts';
import { TestEngine } from '../support/engine.ts';

const MIB = 1024 * 1024;

describe('repacking', () => {
  it('makes one free run of many, and loses nothing', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 32 * MIB });
    const [arena] = engine.shards.arenas;
    const random = new Random(3);
    const texts = new Map<string, string>();
    for (let i = 0; i < 200; i++) {
      const key = `${i % 2}:${i}`;
      const text = String.fromCharCode(97 + (i % 26)).repeat(70_000 + random.below(400_000));
      if (engine.execute('set', key, text).startsWith('+')) texts.set(key, text);
      engine.run('set', `short:${i}`, `text ${i}`);
    }
    for (const key of texts.keys()) {
      if (!key.startsWith('1')) continue;
      engine.run('del', key);
      texts.delete(key);
    }
    engine.run('append', '0:0', 'and more');
    texts.set('0:0', `${texts.get('0:0')}and more`);
    const wanted = 10 * MIB;
    expect(hasRoom(arena, MIB)).toBe(false);
    expect(repackStrings(arena)).toBe(true);
    expect(hasRoom(arena, wanted)).toBe(true);
    verifyAlloc(arena);
    engine.verify();
    for (const [key, text] of texts) expect(engine.run('get', key)).toBe(`$${text.length}\r\n${text}\r\n`);
    expect(engine.run('get', 'short:7')).toBe('$6\r\ntext 7\r\n');
    expect(engine.run('set', 'long', 'x'.repeat(wanted))).toBe('+OK\r\n');
    expect(() => engine.run('set', 'longer', 'x'.repeat(wanted))).toThrow(ArenaFullError);
  });

  it('says when there is nothing to move', () => {
    const engine = new TestEngine({ shards: 1, arenaBytes: 8 * MIB });
    engine.run('set', 'short', 'text');
    expect(repackStrings(engine.shards.arenas[0])).toBe(false);
  });
});

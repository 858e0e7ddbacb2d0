import { describe, expect, it } from 'vitest';
import { globMatch } from '../../engine/glob.ts';

const encoder = new TextEncoder();

function matches(pattern: string, text: string, ignoreCase = false): boolean {
  // Both lie in the middle of larger buffers, surrounded by bytes that would change the answer if they were read.
  const p = encoder.encode(`**${pattern}]*`);
  const t = encoder.encode(`ab${text}yz`);
  return globMatch(p, 2, p.length - 4, t, 2, t.length - 4, ignoreCase);
}

describe('globMatch', () => {
  const yes: [string, string][] = [
    ['', ''],
    ['a', 'a'],
    ['*', 'anything'],
    ['h?llo', 'hello'],
    ['h*llo', 'hllo'],
    ['h*llo', 'heeeello'],
    ['h[ae]llo', 'hallo'],
    ['h[^e]llo', 'hbllo'],
    ['h[a-b]llo', 'hbllo'],
    ['h[b-a]llo', 'hallo'],
    ['a**', 'a'],
    ['***a', 'bca'],
    ['*a*b*c*', 'xxaxxbxxc'],
    ['\\*', '*'],
    ['\\\\', '\\'],
    ['a\\', 'a\\'],
    ['[\\]]', ']'],
    ['[\\a]', 'a'],
    ['[a-]', '^'],
    ['[a', 'a'],
    ['[^', 'x'],
    ['[^]', 'x'],
    ['[a-', '-'],
    ['[--]', 'Z'],
    ['news.*.[0-9]*', 'news.sport.2'],
    ['*ab', 'aab'],
    ['*aab', 'aaaaab'],
    ['*[ab]?x', 'aabbcx'],
  ];
  const no: [string, string][] = [
    ['', 'a'],
    ['a', ''],
    // Redis leaves its loop before it looks at the star when the text is empty.
    ['*', ''],
    ['**', ''],
    ['a', 'b'],
    ['a', 'ab'],
    ['ab', 'a'],
    ['h?llo', 'hllo'],
    ['h[^e]llo', 'hello'],
    ['[', '['],
    ['[]', ']'],
    ['[]a]', 'a'],
    ['[\\', 'a'],
    ['[a-\\]]', 'a'],
    ['*b', 'bba'],
    ['*a*b*c', 'abcabd'],
    ['A', 'a'],
  ];
  it.each(yes)('%j matches %j', (pattern, text) => expect(matches(pattern, text)).toBe(true));
  it.each(no)('%j does not match %j', (pattern, text) => expect(matches(pattern, text)).toBe(false));

  it('folds ASCII case when asked, but not of an escaped byte in a class', () => {
    expect(matches('MAX*[X-Z]', 'maxmemory', true)).toBe(true);
    expect(matches('\\A', 'a', true)).toBe(true);
    expect(matches('[B]', 'b', true)).toBe(true);
    expect(matches('[\\B]', 'b', true)).toBe(false);
    expect(matches('[Z-a]', 'm', true)).toBe(false);
  });

  it('compares bytes, not characters', () => {
    expect(matches('?', 'é')).toBe(false);
    expect(matches('??', 'é')).toBe(true);
  });

  it('takes polynomial time for patterns that backtrack', () => {
    const started = performance.now();
    expect(matches(`${'a*'.repeat(500)}b`, 'a'.repeat(20_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

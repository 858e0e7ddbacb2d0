/** The README's figures are those of the recorded runs it names. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const rows = readFileSync(join(ROOT, 'README.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `npm run bench'));
const recorded = rows.flatMap((row) => {
  const found = /\]\((bench\/\w+\.md)\): (.*) \|$/.exec(row);
  return found === null ? [] : [{ file: found[1], text: found[2] }];
});

describe('the figures of the README', () => {
  it('are of several recorded runs', () => {
    expect(recorded.length).toBeGreaterThan(2);
  });

  it.each(recorded)('stand in $file', ({ file, text }) => {
    const report = readFileSync(join(ROOT, file), 'utf8');
    // Not the options they were measured with.
    const figures = text.replace(/-P \d+/g, '').match(/\d+(\.\d+)?/g) ?? [];
    expect(figures.length).toBeGreaterThan(0);
    expect(
      figures.filter((figure) => !new RegExp(`(?<![\\d.])${figure.replace('.', '\\.')}(?![\\d.])`).test(report)),
    ).toEqual([]);
  });
});

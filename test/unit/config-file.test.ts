import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { quoteWord, readConfigFile, readConfigText, splitWords } from '../../net/config-file.ts';
import { replaceFile } from '../../net/files.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'config-file-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe('splitWords', () => {
  it.each<[string, string[] | undefined]>([
    ['', []],
    ['  port   7000\t', ['port', '7000']],
    ['save ""', ['save', '']],
    ["save ''", ['save', '']],
    ['a "b c" d', ['a', 'b c', 'd']],
    ['a "\\n\\r\\t\\b\\a\\"\\\\\\q"', ['a', '\n\r\t\b\x07"\\q']],
    ['a "\\x41\\xzz\\xc3\\xa9"', ['a', 'Axzzé']],
    ["a 'it\\'s \\n \"'", ['a', 'it\'s \\n "']],
    ['ab"cd"', ['abcd']],
    ['a "b', undefined],
    ["a 'b", undefined],
    ['a "b\\"', undefined],
    ['a "b"c', undefined],
    ["a 'b'c", undefined],
  ])('cuts %j', (line, words) => expect(splitWords(line)).toEqual(words));

  it('reads back whatever quoteWord writes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 4 }), (words) => {
        expect(splitWords(words.map(quoteWord).join(' '))).toEqual(words);
      }),
    );
    expect(quoteWord('127.0.0.1')).toBe('127.0.0.1');
    expect(quoteWord('#x')).toBe('"#x"');
    expect(quoteWord('é\n')).toBe('"\\xc3\\xa9\\x0a"');
  });
});

describe('reading', () => {
  const where = (path: string, line: number) => `in ${path} line ${line}`;

  it('skips comments and blank lines and says where each line stands', () => {
    const path = join(dir, 'a.conf');
    writeFileSync(path, '# one\n\n  port 1 \r\nsave "x y" 2');
    expect(readConfigFile(path)).toEqual([
      { words: ['port', '1'], where: where(path, 3), included: false },
      { words: ['save', 'x y', '2'], where: where(path, 4), included: false },
    ]);
  });

  it('skips lines of nothing but space, as NULs are, and the mark of UTF-8 at the beginning', () => {
    expect(readConfigText('\0\0\n \0\r\n\0port 1\0', 'x')).toEqual([
      { words: ['port', '1'], where: where('x', 3), included: false },
    ]);
    const path = join(dir, 'a.conf');
    writeFileSync(path, '\ufeffport 1\nname \ufeff');
    expect(readConfigFile(path).map((line) => line.words)).toEqual([
      ['port', '1'],
      ['name', '\ufeff'],
    ]);
    expect(readConfigText(readFileSync(path, 'latin1'), 'x')[0].words).toEqual(['port', '1']);
  });

  it('follows includes, by name and by pattern, in place', () => {
    mkdirSync(join(dir, 'conf.d'));
    for (const name of ['b.conf', 'a.conf', 'c.txt', '.hidden.conf']) {
      writeFileSync(join(dir, 'conf.d', name), `name ${name}`);
    }
    writeFileSync(join(dir, 'x'), 'in x');
    const main = join(dir, 'main');
    writeFileSync(
      main,
      `before 1\nINCLUDE ${join(dir, 'x')}\ninclude ${dir}/conf.d/*.conf\ninclude ${dir}/none*\nafter 1`,
    );
    const lines = readConfigFile(main);
    expect(lines.map((line) => line.words.join(' '))).toEqual([
      'before 1',
      'in x',
      'name a.conf',
      'name b.conf',
      'after 1',
    ]);
    expect(lines.map((line) => line.included)).toEqual([false, true, true, true, false]);
  });

  it('says in one line what is wrong', () => {
    const missing = join(dir, 'missing');
    expect(() => readConfigFile(missing)).toThrow(
      `cannot read the config file '${missing}': No such file or directory`,
    );
    expect(() => readConfigFile(dir)).toThrow('Illegal operation on a directory');
    expect(() => readConfigText('\na "b', 'standard input')).toThrow('unbalanced quotes in standard input line 2');
    expect(() => readConfigText('include a b', 'x')).toThrow("'include' takes one file, in x line 1");
    const loop = join(dir, 'loop');
    writeFileSync(loop, `include ${loop}`);
    expect(() => readConfigFile(loop)).toThrow(`includes nest deeper than 16, in ${loop} line 1`);
  });
});

describe('replaceFile', () => {
  it('keeps permissions and symbolic links and leaves nothing beside the file', () => {
    const target = join(dir, 'target');
    const link = join(dir, 'link');
    writeFileSync(target, 'old');
    chmodSync(target, 0o640);
    symlinkSync(target, link);
    replaceFile(link, 'new\xff');
    expect(readFileSync(target)).toEqual(Buffer.from('new\xff', 'latin1'));
    expect(statSync(target).mode & 0o777).toBe(0o640);
    expect(readdirSync(dir).sort()).toEqual(['link', 'target']);
  });
});

import { describe, expect, test } from 'vitest';
import { Request } from '../../engine/request.ts';
import { INCOMPLETE, Parser, PROTOCOL_ERROR } from '../../net/parser.ts';
import { bytes, Feeder, feed } from '../support/parser-feed.ts';

describe('multibulk', () => {
  test('one request', () => {
    expect(feed('*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n').requests).toEqual([['GET', 'key']]);
  });

  test('a pipeline, with empty and binary arguments', () => {
    const text = '*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n\0\r\n\xff\r\n*1\r\n$4\r\nPING\r\n';
    expect(feed(text).requests).toEqual([['SET', '', '\0\r\n\xff'], ['PING']]);
  });

  test('empty requests ask for nothing', () => {
    expect(feed('*0\r\n*-1\r\n*-10\r\n\r\n\n  \r\n*1\r\n$4\r\nPING\r\n').requests).toEqual([['PING']]);
  });

  test('what follows a length or an argument is not looked at', () => {
    expect(feed('*1\rX$4\rYPINGxx*1\r\n$4\r\nPING\r\n').requests).toEqual([['PING'], ['PING']]);
  });

  test.each([
    ['*a\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    ['*+1\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*1 \r\n', 'invalid multibulk length'],
    ['*-0\r\n', 'invalid multibulk length'],
    ['*2147483648\r\n', 'invalid multibulk length'],
    ['*1\r\n+OK\r\n', "expected '$', got '+'"],
    ['*1\r\n\xff\r\n', "expected '$', got '\xff'"],
    ['*1\r\n\r\n\r\n', "expected '$', got ' '"],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$\r\n', 'invalid bulk length'],
    ['*1\r\n$4x\r\n', 'invalid bulk length'],
    ['*1\r\n$04\r\n', 'invalid bulk length'],
    ['*1\r\n$536870913\r\n', 'invalid bulk length'],
    ['*1\r\n$99999999999999999999\r\n', 'invalid bulk length'],
    [`*${'1'.repeat(65536)}`, 'too big mbulk count string'],
    [`*1\r\n$${'1'.repeat(65536)}`, 'too big bulk count string'],
  ])('%j is refused', (text, what) => {
    expect(feed(`*1\r\n$4\r\nPING\r\n${text}`)).toEqual({ requests: [['PING']], error: `ERR Protocol error: ${what}` });
  });

  test.each([
    '*2147483647\r\n',
    '*1\r\n$536870912\r\n',
    '*1',
    '*1\r',
    '*1\r\n$',
    '*1\r\n$4\r\nPING\r',
    '*1\0\r\n$4\r\nPING\r\n',
  ])('%j waits for more', (text) => expect(feed(text)).toEqual({ requests: [], error: undefined }));

  test('an unauthenticated client may send short requests only', () => {
    const restricted = (text: string) => {
      const feeder = new Feeder();
      feeder.parser.restricted = true;
      return feeder.push(bytes(text)).result;
    };
    const auth = '*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n';
    expect(restricted(`${auth}*11\r\n`)).toEqual({
      requests: [['AUTH', 'pw']],
      error: 'ERR Protocol error: unauthenticated multibulk length',
    });
    expect(restricted('*1\r\n$16385\r\n').error).toBe('ERR Protocol error: unauthenticated bulk length');
    expect(restricted(`*1\r\n$16385\r\n${'x'.repeat(16387)}`).error).toBe(
      'ERR Protocol error: unauthenticated bulk length',
    );
    const ten = `*10\r\n${'$1\r\na\r\n'.repeat(10)}`;
    expect(restricted(ten).requests).toEqual([Array(10).fill('a')]);
    expect(restricted(`*1\r\n$16384\r\n${'x'.repeat(16386)}`).requests).toEqual([['x'.repeat(16384)]]);
  });

  test('100 000 arguments, byte by byte and at once', () => {
    const text = `*100000\r\n${'$2\r\nab\r\n'.repeat(100_000)}*1\r\n$4\r\nPING\r\n`;
    const expected = [Array(100_000).fill('ab'), ['PING']];
    expect(feed(text).requests).toEqual(expected);
    expect(feed(text, 1).requests).toEqual(expected);
  });

  test('a long argument in pieces is not looked at before it is there', () => {
    const parser = new Parser({ maxBulkBytes: 1 << 29 });
    const head = bytes('*2\r\n$4\r\nECHO\r\n$100000\r\n');
    expect(parser.parse(new Request(), head, 0, head.length)).toBe(INCOMPLETE);
    expect(parser.needed).toBe(head.length + 100_002);
  });
});

describe('inline', () => {
  test.each<[string, string[]]>([
    ['PING\r\n', ['PING']],
    ['PING\n', ['PING']],
    ['PING\r\r\n', ['PING']],
    ['  set  a\tb \r\n', ['set', 'a', 'b']],
    ['\v\fPING\r\n', ['PING']],
    ['PING\vx\r\n', ['PING\vx']],
    ['echo ""\r\n', ['echo', '']],
    ["echo ''\r\n", ['echo', '']],
    ['PI"NG"\r\n', ['PING']],
    ['echo "a b" c\r\n', ['echo', 'a b', 'c']],
    ['echo "\\x41\\x4\\xZZ\\n\\r\\t\\b\\a\\q\\\\\\""\r\n', ['echo', 'Ax4xZZ\n\r\t\b\x07q\\"']],
    ["echo 'it\\'s \\n'\r\n", ['echo', "it's \\n"]],
    ['echo "\\xff\\x00"\r\n', ['echo', '\xff\0']],
  ])('%j', (line, words) => {
    expect(feed(line).requests).toEqual([words]);
    expect(feed(line, 1).requests).toEqual([words]);
  });

  test.each([
    '"PING\r\n',
    "'PING\r\n",
    '"PING"x\r\n',
    "echo a'b'c\r\n",
    'echo "a""b"\r\n',
    'echo "a\\"\r\n',
    'echo "\\\r\n',
  ])('%j has unbalanced quotes', (line) =>
    expect(feed(line)).toEqual({ requests: [], error: 'ERR Protocol error: unbalanced quotes in request' }),
  );

  test('a line without an end', () => {
    expect(feed('P'.repeat(65536))).toEqual({ requests: [], error: undefined });
    expect(feed('P'.repeat(65537)).error).toBe('ERR Protocol error: too big inline request');
    expect(feed('P'.repeat(65537), 1000).error).toBe('ERR Protocol error: too big inline request');
  });

  test('a NUL byte hides the rest', () => {
    expect(feed('PING\0\r\nPING\r\n')).toEqual({ requests: [], error: undefined });
  });

  test('a browser is sent away without a word', () => {
    expect(feed('POST / HTTP/1.1\r\n')).toEqual({ requests: [], error: '' });
    expect(feed('PING\r\nHost: localhost\r\nPING\r\n')).toEqual({ requests: [['PING']], error: '' });
  });

  test('parsing the same quoted line again gives the same words', () => {
    const parser = new Parser({ maxBulkBytes: 1 << 29 });
    const request = new Request();
    const line = bytes('set "a\\x41" "b c"\r\n');
    for (let round = 0; round < 2; round++) {
      expect(parser.parse(request, line, 0, line.length)).toBe(line.length);
      expect([request.str(0), request.str(1), request.str(2)]).toEqual(['set', 'aA', 'b c']);
    }
  });
});

test('after an error the parser starts afresh', () => {
  const parser = new Parser({ maxBulkBytes: 1 << 29 });
  const request = new Request();
  const bad = bytes('*3\r\n$1\r\na\r\n$1\r\nb\r\n+');
  expect(parser.parse(request, bad, 0, bad.length - 1)).toBe(INCOMPLETE);
  const worse = bytes('*3\r\n$1\r\na\r\n$1\r\nb\r\n+\r\n');
  expect(parser.parse(request, worse, 0, worse.length)).toBe(PROTOCOL_ERROR);
  const good = bytes('*1\r\n$4\r\nPING\r\n');
  expect(parser.parse(request, good, 0, good.length)).toBe(good.length);
});

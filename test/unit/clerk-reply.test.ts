/** Replies as values, from bytes that come in any pieces. */
import { describe, expect, it } from 'vitest';
import { ProtocolError, ReplyError } from '../../net/client/errors.ts';
import { INCOMPLETE, Push, type Reply, ReplyParser } from '../../net/client/reply.ts';

/** All replies in these bytes, fed in pieces of so many. */
function parsed(text: string, pieceBytes = text.length, asBuffers = false): (Reply | Push)[] {
  const bytes = Buffer.from(text, 'utf8');
  const parser = new ReplyParser();
  parser.asBuffers = asBuffers;
  const replies: (Reply | Push)[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    parser.feed(bytes.subarray(at, at + pieceBytes));
    for (let reply = parser.next(); reply !== INCOMPLETE; reply = parser.next()) replies.push(reply);
  }
  return replies;
}

const EACH: [string, Reply][] = [
  ['+OK\r\n', 'OK'],
  ['$5\r\nhe\r\no\r\n', 'he\r\no'],
  ['$0\r\n\r\n', ''],
  ['$-1\r\n', null],
  ['*-1\r\n', null],
  ['_\r\n', null],
  [':-12\r\n', -12],
  [':9223372036854775807\r\n', 9223372036854775807n],
  ['(1234567890123456789012\r\n', 1234567890123456789012n],
  [',3.25\r\n', 3.25],
  [',-inf\r\n', Number.NEGATIVE_INFINITY],
  [',nan\r\n', Number.NaN],
  ['#t\r\n', true],
  ['#f\r\n', false],
  ['=7\r\ntxt:añ\r\n', 'añ'],
  ['*0\r\n', []],
  ['*3\r\n:1\r\n$-1\r\n*2\r\n+a\r\n*0\r\n', [1, null, ['a', []]]],
  ['~2\r\n+a\r\n+b\r\n', ['a', 'b']],
  [
    '%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n',
    new Map<Reply, Reply>([
      ['a', 1],
      ['b', new Map()],
    ]),
  ],
  ['|1\r\n+ttl\r\n:9\r\n*2\r\n|1\r\n+x\r\n*1\r\n:1\r\n:1\r\n:2\r\n', [1, 2]],
];

describe('replies', () => {
  it.each(EACH)('%j', (text, value) => {
    expect(parsed(text)).toEqual([value]);
  });

  it('cut at every place', () => {
    const text = EACH.map(([each]) => each).join('');
    const values = EACH.map(([, value]) => value);
    for (let pieceBytes = 1; pieceBytes < 40; pieceBytes++) expect(parsed(text, pieceBytes)).toEqual(values);
  });

  it('errors, alone and among others', () => {
    const [alone, long, [first, second]] = parsed('-ERR no\r\n!11\r\nWRONGTYPE x\r\n*2\r\n:1\r\n-OOM full\r\n') as [
      ReplyError,
      ReplyError,
      [number, ReplyError],
    ];
    expect([alone.code, alone.message]).toEqual(['ERR', 'ERR no']);
    expect([long.code, long.message]).toEqual(['WRONGTYPE', 'WRONGTYPE x']);
    expect(first).toBe(1);
    expect(second).toBeInstanceOf(ReplyError);
    expect(second.code).toBe('OOM');
  });

  it('what a node says by itself is told from answers', () => {
    const [push, reply] = parsed('>2\r\n+message\r\n:1\r\n:2\r\n');
    expect(push).toEqual(new Push(['message', 1]));
    expect(reply).toBe(2);
  });

  it('strings as bytes that nobody else holds', () => {
    const bytes = Buffer.from('*2\r\n$2\r\n\xff\xfe\r\n:1\r\n', 'latin1');
    const parser = new ReplyParser();
    parser.asBuffers = true;
    parser.feed(bytes);
    const reply = parser.next();
    bytes.fill(0);
    expect(reply).toEqual([Buffer.from([0xff, 0xfe]), 1]);
  });

  it('a long string in many pieces costs no more than its length', () => {
    const parser = new ReplyParser();
    const piece = Buffer.alloc(16 * 1024, 120);
    const bytes = 64 * 1024 * 1024;
    const startedAt = performance.now();
    parser.feed(Buffer.from(`$${bytes}\r\n`));
    for (let fed = 0; fed < bytes; fed += piece.length) {
      parser.feed(piece);
      expect(parser.next()).toBe(INCOMPLETE);
    }
    parser.feed(Buffer.from('\r\n'));
    expect((parser.next() as string).length).toBe(bytes);
    // Joining what has come with each piece would copy 128 GiB.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });
});

describe('bytes that are no replies', () => {
  it.each([
    'hello\r\n',
    '$x\r\n',
    '$-2\r\n',
    '$99999999999\r\n',
    ':1.5\r\n',
    '*1e3\r\n',
    '(x\r\n',
    '+a\rb\n',
    '*1\r\n>1\r\n:1\r\n',
    '*1\r\n'.repeat(200),
    `+${'x'.repeat(70_000)}`,
  ])('%j', (text) => {
    expect(() => parsed(text)).toThrow(ProtocolError);
  });
});

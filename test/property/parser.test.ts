import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Fed, Feeder } from '../support/parser-feed.ts';

/** Arguments of any bytes, some longer than one read. */
const argument = fc.oneof(
  { weight: 10, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: 100, max: 70_000 }).map((length) => new Uint8Array(length).fill(length)) },
);

const multibulk = fc.array(argument, { minLength: 1, maxLength: 20 });

const word = fc.stringMatching(/^[!#-&(-~]{1,12}$/).filter((text) => text[0] !== '*' && !/^(post|host:)$/i.test(text));

interface Sent {
  bytes: Uint8Array;
  words: string[] | undefined;
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

const request: fc.Arbitrary<Sent> = fc.oneof(
  multibulk.map((args) => ({
    bytes: Buffer.concat([
      Buffer.from(`*${args.length}\r\n`),
      ...args.flatMap((arg) => [Buffer.from(`$${arg.length}\r\n`), arg, Buffer.from('\r\n')]),
    ]),
    words: args.map(latin1),
  })),
  fc
    .array(word, { minLength: 1, maxLength: 6 })
    .map((words) => ({ bytes: Buffer.from(`${words.join(' ')}\r\n`), words })),
  fc.tuple(word, fc.uint8Array({ maxLength: 20 })).map(([name, arg]) => ({
    bytes: Buffer.from(`${name} "${[...arg].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}"\n`),
    words: [name, latin1(arg)],
  })),
  fc.constantFrom('\r\n', '\n', '*0\r\n', '*-1\r\n').map((text) => ({ bytes: Buffer.from(text), words: undefined })),
);

/** Cuts `all` at the given fractions of its length. */
function feedCut(all: Uint8Array, cuts: number[]): Fed {
  const feeder = new Feeder();
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const to = Math.floor(cut * all.length);
    feeder.push(all.subarray(from, to));
    from = to;
  }
  return feeder.push(all.subarray(from)).result;
}

const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

test('however a stream of requests is cut, the same commands come out', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 30 }), cuts, (sent, where) => {
      const all = Buffer.concat(sent.map((one) => one.bytes));
      const expected = sent.map((one) => one.words).filter((words) => words !== undefined);
      expect(feedCut(all, where)).toEqual({ requests: expected, error: undefined });
    }),
    { numRuns: 300 },
  );
});

test('byte by byte the same commands come out', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 6 }), (sent) => {
      const all = Buffer.concat(sent.map((one) => one.bytes));
      const feeder = new Feeder();
      for (let i = 0; i < all.length; i++) feeder.push(all.subarray(i, i + 1));
      expect(feeder.result.requests).toEqual(sent.map((one) => one.words).filter((words) => words !== undefined));
    }),
    { numRuns: 30 },
  );
});

/** Bytes that look enough like RESP to reach the parser's corners. */
const noise = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '*',
        '$',
        '\r\n',
        '\r',
        '\n',
        '0',
        '1',
        '-1',
        '3',
        '12',
        '99999999999',
        '"',
        "'",
        '\\',
        '\\x4',
        'PING',
        ' ',
        '\0',
      ),
      fc.uint8Array({ maxLength: 5 }).map(latin1),
    ),
    { maxLength: 60 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));

test('noise never throws, and means the same however it is cut', () => {
  fc.assert(
    fc.property(noise, cuts, (all, where) => {
      expect(feedCut(all, where)).toEqual(feedCut(all, []));
    }),
    { numRuns: 5000 },
  );
});

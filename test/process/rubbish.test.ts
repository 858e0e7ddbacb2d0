/**
 * Bytes that are no requests, or requests in pieces, over real sockets: nothing crashes a node, and whole requests are
 * answered however they were cut.
 *
 * `MILLRACE_SEED=<n>` changes what rubbish is sent, `MILLRACE_ROUNDS=<n>` how much of it.
 */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import { eventually, Fleet, infoField, sleep } from '../support/fleet.ts';
import { MODES } from '../support/node.ts';
import { encodeCommand } from '../support/redis.ts';
import { Wire } from '../support/wire.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 1);
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 60);

const fleet = new Fleet();
afterEach(() => fleet.closeAll());
afterAll(() => fleet.stop());

describe.each(MODES)('connections closed for sending, dispatch %s', (mode) => {
  it('are answered to the end', async () => {
    const node = await fleet.plainNode(mode);
    const requests = Array.from({ length: 3000 }, (_, i) => encodeCommand(['set', `k:${i}`, 'x'.repeat(i % 500)]));
    const reads = Array.from({ length: 3000 }, (_, i) => encodeCommand(['strlen', `k:${i}`]));
    const wire = await fleet.open(node);
    wire.write(Buffer.concat([...requests, ...reads]));
    const text = await wire.finish();
    expect(text).toBe('+OK\r\n'.repeat(3000) + Array.from({ length: 3000 }, (_, i) => `:${i % 500}\r\n`).join(''));
  });

  it('in the middle of a request are answered up to there', async () => {
    const node = await fleet.plainNode(mode);
    const wire = await fleet.open(node);
    wire.write('*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$5\r\nab');
    expect(await wire.finish()).toBe('+PONG\r\n');
    const empty = await fleet.open(node);
    expect(await empty.finish()).toBe('');
  });
});

describe.each(MODES)('rubbish, dispatch %s', (mode) => {
  const WORDS = [
    'GET',
    'SET',
    'PING',
    'ECHO',
    'LRANGE',
    'k',
    'v',
    '0',
    '-1',
    '9999999999999999999',
    'x'.repeat(300),
    '',
  ];
  const PIECES = [
    '*',
    '$',
    '\r\n',
    '\n',
    '\r',
    '\0',
    ':',
    '+',
    '-',
    '"',
    "'",
    '*3\r\n',
    '$3\r\n',
    '$-1\r\n',
    '*-1\r\n',
    '*0\r\n',
  ];
  const LENGTHS = [
    '*1048577\r\n',
    '$536870913\r\n',
    '*2147483648\r\n',
    '$99999999999999999999\r\n',
    '*1000000\r\n',
    '$400000000\r\n',
  ];

  function pick<T>(random: Random, from: readonly T[]): T {
    return from[random.below(from.length)];
  }

  function noise(random: Random, length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => random.below(256)));
  }

  /** Requests, some with bytes changed, left out, or put in. */
  function broken(random: Random): Buffer {
    const requests = Array.from({ length: 1 + random.below(6) }, () =>
      encodeCommand(Array.from({ length: 1 + random.below(4) }, () => pick(random, WORDS))),
    );
    const bytes = [...Buffer.concat(requests)];
    for (let n = 1 + random.below(6); n > 0; n--) {
      const at = random.below(bytes.length);
      const kind = random.below(3);
      bytes.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [random.below(256)]));
    }
    return Buffer.from(bytes);
  }

  function rubbish(random: Random): Buffer {
    switch (random.below(6)) {
      case 0:
        return noise(random, random.below(3000));
      case 1:
        return Buffer.from(Array.from({ length: random.below(60) }, () => pick(random, PIECES)).join(''), 'latin1');
      case 2:
        return Buffer.concat([Buffer.from(pick(random, LENGTHS)), noise(random, random.below(200))]);
      case 3:
        return Buffer.from(`${pick(random, WORDS)} ${'a'.repeat(random.below(70_000))}`);
      default:
        return broken(random);
    }
  }

  it('of thousands of connections leaves the node as it was', async () => {
    const node = await fleet.plainNode(mode);
    const client = await fleet.connect(node);
    await client.run('set', 'kept', 'v');
    const random = new Random(SEED);
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const sent = rubbish(random);
          const cut = random.below(sent.length + 1);
          const finishes = random.below(2) === 0;
          const wire = await Wire.connect(node.port);
          wire.write(sent.subarray(0, cut));
          await sleep(0);
          wire.write(sent.subarray(cut));
          if (finishes) await Promise.race([wire.finish(), sleep(2000)]);
          expect(wire.text).not.toMatch(/ at .*\.ts|node:internal/);
          wire.destroy();
        }),
      );
      expect(await client.run('ping'), `round ${round}, seed ${SEED}`).toBe('+PONG\r\n');
    }
    expect(node.running).toBe(true);
    expect(await client.run('get', 'kept')).toBe('$1\r\nv\r\n');
    await eventually('one client', async () => (await infoField(client, 'connected_clients')) === 1);
    expect(node.output).not.toMatch(/Error|at .*\.ts/);
  }, 120_000);
});

describe.each(MODES)('requests cut anywhere, dispatch %s', (mode) => {
  const value = Buffer.from([0, 13, 10, 36, 42, 255]).toString('latin1');
  const requests = [
    '*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$6\r\n',
    value,
    '\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n',
    'PING\r\n',
    '\r\n',
    'ECHO "a \\x41\\n b"\r\n',
    '*0\r\n',
    '*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nb\r\n$12\r\nhello, world\r\n',
    '*3\r\n$4\r\nmget\r\n$1\r\na\r\n$1\r\nb\r\n',
    "set 'c d' 1\n",
    '*2\r\n$4\r\nincr\r\n$3\r\nc d\r\n',
    '*1\r\n$3\r\nfoo\r\n',
  ].join('');
  const replies = [
    '+OK\r\n',
    `$6\r\n${value}\r\n`,
    '+PONG\r\n',
    '$6\r\na A\n b\r\n',
    '+OK\r\n',
    '*2\r\n$0\r\n\r\n$12\r\nhello, world\r\n',
    '+OK\r\n',
    ':2\r\n',
    "-ERR unknown command 'foo', with args beginning with: \r\n",
  ].join('');

  it('are answered as if they were whole', async () => {
    const node = await fleet.plainNode(mode);
    const atOnce = await fleet.open(node);
    atOnce.write(requests);
    await atOnce.received(replies.length);
    expect(atOnce.text).toBe(replies);
    // One connection per place to cut, one after another, since all write the same keys.
    for (let cut = 1; cut < requests.length; cut++) {
      const wire = await Wire.connect(node.port);
      wire.write(requests.slice(0, cut));
      await sleep(1);
      wire.write(requests.slice(cut));
      await wire.received(replies.length);
      expect(wire.text, `cut at ${cut}`).toBe(replies);
      wire.destroy();
    }
  });

  it('into single bytes', async () => {
    const node = await fleet.plainNode(mode);
    const wire = await fleet.open(node);
    for (const byte of requests) {
      wire.write(byte);
      await sleep(0);
    }
    await wire.received(replies.length);
    expect(wire.text).toBe(replies);
  });
});

/**
 * Bytes that are nearly requests, sent to a node and to redis-server over a connection of their own and cut anywhere: all
 * that comes back until the connection closes has to be the same, byte for byte.
 *
 * `MILLRACE_SEED=<n>` begins with that seed, `MILLRACE_ROUNDS=<n>` runs so many rounds of connections per mode.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../engine/random.ts';
import type { Arg } from '../support/engine.ts';
import { pick } from '../support/gen/string.ts';
import { MODES, TestNode } from '../support/node.ts';
import { encodeCommand, RedisServer, redisAvailable } from '../support/redis.ts';
import { Wire } from '../support/wire.ts';

const SEED = Number(process.env.MILLRACE_SEED ?? 4000);
const ROUNDS = Number(process.env.MILLRACE_ROUNDS ?? 12);
const CONNECTIONS = 30;
/** Replies that take longer than this are missing. */
const PATIENCE_MS = 5000;

/** Only commands that change nothing another connection could see: connections run at the same time. */
const REQUESTS: Arg[][] = [
  ['PING'],
  ['ping', 'x'],
  ['ECHO', Uint8Array.of(0, 13, 10, 255)],
  ['echo', 'y'.repeat(3000)],
  ['GET', 'k'],
  ['GET', 'nothing'],
  ['MGET', 'k', 'l', 'nothing'],
  ['LRANGE', 'l', 0, -1],
  ['STRLEN', 'k'],
  ['EXISTS', 'k', 'l'],
  ['GET', 'l'],
  ['SELECT', 0],
  ['SELECT', 'x'],
  ['CLIENT', 'REPLY', 'OFF'],
  ['CLIENT', 'REPLY', 'ON'],
  ['CLIENT', 'REPLY', 'SKIP'],
  ['CLIENT', 'SETNAME', 'n'],
  ['CLIENT', 'GETNAME'],
  ['NOSUCH', 'a', 'b'],
  ['QUIT'],
];
const INLINE = [
  'PING\r\n',
  'PING\n',
  '\r\n',
  'ECHO "a\\x00\\n\\"b"\r\n',
  "ECHO 'it\\'s'\r\n",
  'GET k\r\n',
  '  GET   k  \r\n',
  'ECHO "unbalanced\r\n',
  'ECHO "a"b\r\n',
  'nosuch \xff\xfe\r\n',
  '*0\r\n',
  '*-1\r\n',
  '$5\r\n',
  '*1\r\n$-1\r\n',
  '*1\r\n:4\r\nPING\r\n',
  '*2147483648\r\n',
  '*1\r\n$536870913\r\n',
  '*x\r\n',
  '*1\r\n$4x\r\nPING\r\n',
];

/** A few requests, usually with a byte or two changed, left out or put in. */
function nearlyRequests(random: Random): Buffer {
  const parts: Buffer[] = [];
  for (let n = 1 + random.below(8); n > 0; n--) {
    const inline = random.below(4) === 0;
    parts.push(inline ? Buffer.from(pick(random, INLINE), 'latin1') : encodeCommand(pick(random, REQUESTS)));
  }
  const bytes = [...Buffer.concat(parts)];
  for (let n = random.below(3); n > 0; n--) {
    const at = random.below(bytes.length);
    const kind = random.below(3);
    const put = random.below(2) === 0 ? random.below(256) : pick(random, [...Buffer.from('*$\r\n 0123456789-"\'\0')]);
    bytes.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [put]));
  }
  return Buffer.from(bytes);
}

/** Sends the bytes in two pieces and gives what comes back until the other side closes. */
async function answer(port: number, bytes: Buffer, cut: number): Promise<string> {
  const wire = await Wire.connect(port);
  wire.write(bytes.subarray(0, cut));
  await new Promise((resolve) => setTimeout(resolve, 2));
  wire.write(bytes.subarray(cut));
  const late = new Promise<string>((resolve) =>
    setTimeout(() => resolve(`${wire.text}…and nothing more`), PATIENCE_MS),
  );
  const text = await Promise.race([wire.finish(), late]);
  wire.destroy();
  return text;
}

describe.skipIf(!redisAvailable).each(MODES)('bytes that are nearly requests, dispatch %s', (mode) => {
  let node: TestNode;
  let server: RedisServer;

  beforeAll(async () => {
    [node, server] = await Promise.all([
      TestNode.start('--dispatch', mode, '--workers', '2', '--shards', '8'),
      RedisServer.start(),
    ]);
    for (const each of [node, server]) {
      const client = await each.connect();
      await client.pipeline([
        ['set', 'k', 'value'],
        ['rpush', 'l', 'a', '', 'c'],
      ]);
      client.close();
    }
  });

  afterAll(() => {
    node?.stop();
    server?.stop();
  });

  it(
    'are answered as by redis-server',
    async () => {
      for (let seed = SEED; seed < SEED + ROUNDS; seed++) {
        const random = new Random(seed);
        await Promise.all(
          Array.from({ length: CONNECTIONS }, async () => {
            const bytes = nearlyRequests(random);
            const cut = random.below(bytes.length + 1);
            const [ours, theirs] = await Promise.all([node.port, server.port].map((port) => answer(port, bytes, cut)));
            const sent = JSON.stringify(bytes.toString('latin1'));
            expect(ours, `seed ${seed}, cut at ${cut}: ${sent}`).toBe(theirs);
          }),
        );
      }
    },
    30_000 + ROUNDS * 1000,
  );
});

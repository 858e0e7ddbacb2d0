/** Requests that are wrong in every way, to a real node and, so that the tables stay true, to redis-server. */
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLOSING, RESTRICTED, RESTRICTED_CLOSING, SETUP, STAYING, WAITING } from '../support/malformed.ts';
import { TestNode } from '../support/node.ts';
import { RedisServer, redisAvailable } from '../support/redis.ts';

const PING = '*1\r\n$4\r\nPING\r\n';
/** How long an answer that must not come is waited for. */
const SILENCE_MS = 200;

interface Peer {
  readonly port: number;
  stop(): void;
}

/** Sends bytes and gives what comes back until the server closes, or until `enough` says so. */
function exchange(
  port: number,
  text: string,
  enough: (answer: string) => boolean,
): Promise<[string, 'closed' | 'open']> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(Buffer.from(text, 'latin1')));
    let answer = '';
    const timer = setTimeout(() => finish('open'), 5000);
    const finish = (how: 'closed' | 'open') => {
      clearTimeout(timer);
      socket.destroy();
      resolve([answer, how]);
    };
    socket.on('data', (data) => {
      answer += data.toString('latin1');
      if (enough(answer)) finish('open');
    });
    socket.on('end', () => finish('closed'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Closed with bytes of ours unread.
      if (error.code === 'ECONNRESET') finish('closed');
      else reject(error);
    });
  });
}

const never = (): boolean => false;

function checks(start: (...flags: string[]) => Promise<Peer>): void {
  let open: Peer;
  let guarded: Peer;

  beforeAll(async () => {
    [open, guarded] = await Promise.all([start(), start('--requirepass', 'pw')]);
    const setup = `${SETUP.join('\r\n')}\r\n${PING}`;
    await exchange(open.port, setup, (text) => text.endsWith('+PONG\r\n'));
  });

  afterAll(() => {
    open?.stop();
    guarded?.stop();
  });

  test.each(CLOSING)('%j is answered by %j and the end', async (sent, answer) => {
    expect(await exchange(open.port, sent, never)).toEqual([answer, 'closed']);
  });

  test.each(STAYING)('%j is answered by %j', async (sent, answer) => {
    const whole = `${answer}+PONG\r\n`;
    const [seen] = await exchange(open.port, sent + PING, (text) => text.endsWith('+PONG\r\n'));
    expect(seen).toBe(whole);
  });

  test('what is not whole is waited for', async () => {
    const answers = WAITING.map((sent) => {
      return new Promise<string>((resolve) => {
        let answer = '';
        const socket = net.connect(open.port, '127.0.0.1', () => socket.write(Buffer.from(sent, 'latin1')));
        socket.on('data', (data) => {
          answer += data.toString('latin1');
        });
        socket.on('error', () => {});
        socket.on('end', () => {
          answer += 'closed';
        });
        setTimeout(() => {
          socket.destroy();
          resolve(answer);
        }, SILENCE_MS);
      });
    });
    expect(await Promise.all(answers)).toEqual(WAITING.map(() => ''));
  });

  test.each(RESTRICTED_CLOSING)('before authentication %j is answered by %j and the end', async (sent, answer) => {
    expect(await exchange(guarded.port, sent, never)).toEqual([answer, 'closed']);
  });

  test.each(RESTRICTED)('before authentication %j is answered by %j', async (sent, answer) => {
    const end = '-NOAUTH Authentication required.\r\n';
    const [seen] = await exchange(guarded.port, sent + PING, (text) => text.length >= answer.length + end.length);
    expect(seen).toBe(answer + end);
  });
}

describe('Millrace', () => checks((...flags) => TestNode.start(...flags)));

describe.skipIf(!redisAvailable)('redis-server (needs it installed)', () =>
  checks((...flags) => RedisServer.start(flags)),
);

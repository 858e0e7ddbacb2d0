/** Blocking commands: the same scenarios, with the same expectations, against a node in each dispatch mode and Redis. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Arg } from '../support/engine.ts';
import { MODES, TestNode } from '../support/node.ts';
import { type RawClient, RedisServer, redisAvailable } from '../support/redis.ts';

interface Target {
  connect(): Promise<RawClient>;
  stop(): void;
}

const TARGETS: (readonly [name: string, start: () => Promise<Target>])[] = [
  ...MODES.map((mode) => [mode, () => TestNode.start('--dispatch', mode, '--shards', '4', '--workers', '2')] as const),
  ...(redisAvailable ? [['redis-server', () => RedisServer.start()] as const] : []),
];

const NONE = '*-1\r\n';
const WRONGTYPE = '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n';

function bulks(...texts: string[]): string {
  return `*${texts.length}\r\n${texts.map(bulk).join('')}`;
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

describe.each(TARGETS)('%s', (_name, start) => {
  let target: Target;
  let main: RawClient;
  let others: RawClient[] = [];

  beforeAll(async () => {
    target = await start();
    main = await target.connect();
  }, 30_000);

  afterAll(() => {
    main?.close();
    target?.stop();
  });

  beforeEach(async () => {
    for (const client of others) client.close();
    others = [];
    await untilBlocked(0);
    await main.run('flushall');
  });

  async function client(): Promise<RawClient> {
    const opened = await target.connect();
    others.push(opened);
    return opened;
  }

  /** Waits until so many clients are blocked. */
  async function untilBlocked(count: number): Promise<void> {
    for (let i = 0; i < 500; i++) {
      if ((await main.run('info', 'clients')).includes(`blocked_clients:${count}\r\n`)) return;
      await sleep(5);
    }
    throw new Error(`there never were ${count} blocked clients`);
  }

  /** Sends a command that blocks on a connection of its own; resolves when it waits. The reply is awaited later. */
  async function waits(...args: Arg[]): Promise<{ reply: Promise<string>; client: RawClient }> {
    const before = Number(/blocked_clients:(\d+)/.exec(await main.run('info', 'clients'))?.[1]);
    const own = await client();
    const reply = own.run(...args);
    reply.catch(() => {});
    await untilBlocked(before + 1);
    return { reply, client: own };
  }

  it('takes what is there at once, from the first key that has something', async () => {
    await main.pipeline([
      ['rpush', 'l', 'a', 'b', 'c', 'd', 'e', 'f'],
      ['rpush', 'm', 'x'],
      ['zadd', 'z', '1', 'p', '2', 'q', '3', 'r', '4.5', 's'],
    ]);
    expect(await main.run('blpop', 'none', 'l', 'm', '0')).toBe(bulks('l', 'a'));
    expect(await main.run('brpop', 'none', 'l', 'm', '0')).toBe(bulks('l', 'f'));
    expect(await main.run('blmove', 'l', 'm', 'left', 'right', '0')).toBe(bulk('b'));
    expect(await main.run('brpoplpush', 'l', 'm', '0')).toBe(bulk('e'));
    expect(await main.run('lrange', 'm', '0', '-1')).toBe(bulks('e', 'x', 'b'));
    expect(await main.run('blmpop', '0', '2', 'none', 'l', 'right', 'count', '9')).toBe(
      `*2\r\n${bulk('l')}${bulks('d', 'c')}`,
    );
    expect(await main.run('bzpopmin', 'none', 'z', '0')).toBe(bulks('z', 'p', '1'));
    expect(await main.run('bzpopmax', 'z', '0')).toBe(bulks('z', 's', '4.5'));
    expect(await main.run('bzmpop', '0', '2', 'none', 'z', 'max')).toBe(`*2\r\n${bulk('z')}*1\r\n${bulks('r', '3')}`);
    expect(await main.run('exists', 'l')).toBe(':0\r\n');
  });

  it('answers in RESP3', async () => {
    const own = await client();
    await own.run('hello', '3');
    await own.run('zadd', 'z', '1.5', 'p', '2', 'q');
    expect(await own.run('bzpopmin', 'z', '0')).toBe(`*3\r\n${bulk('z')}${bulk('p')},1.5\r\n`);
    expect(await own.run('bzmpop', '0', '1', 'z', 'min')).toBe(`*2\r\n${bulk('z')}*1\r\n*2\r\n${bulk('q')},2\r\n`);
    expect(await own.run('blpop', 'none', '0.01')).toBe('_\r\n');
    expect(await own.run('blmove', 'none', 'other', 'left', 'left', '0.01')).toBe('_\r\n');
  });

  it('refuses bad arguments', async () => {
    await main.run('set', 's', 'v');
    const notFloat = '-ERR timeout is not a float or out of range\r\n';
    const negative = '-ERR timeout is negative\r\n';
    const syntax = '-ERR syntax error\r\n';
    const numKeys = '-ERR numkeys should be greater than 0\r\n';
    for (const timeout of ['x', '', ' 1', 'nan']) expect(await main.run('blpop', 'l', timeout)).toBe(notFloat);
    for (const timeout of ['-1', '-0.01', 'inf', '-inf', '1e18', '1e400']) {
      expect(await main.run('bzpopmin', 'z', timeout)).toBe(negative);
    }
    expect(await main.run('blmove', 's', 'm', 'left', 'x', 'y')).toBe(syntax);
    expect(await main.run('blmove', 's', 'm', 'left', 'right', 'y')).toBe(notFloat);
    expect(await main.run('brpoplpush', 's', 'm', '-1')).toBe(negative);
    expect(await main.run('blmpop', 'x', '1', 's', 'left')).toBe(notFloat);
    expect(await main.run('bzmpop', 'x', '0', 'l', 'min')).toBe(numKeys);
    expect(await main.run('blmpop', '1', '0', 'l', 'left')).toBe(numKeys);
    expect(await main.run('blmpop', '1', '2', 'l', 'left')).toBe(syntax);
    expect(await main.run('bzmpop', '1', '1', 'l', 'left')).toBe(syntax);
    expect(await main.run('bzmpop', '1', '1', 'l', 'min', 'count', '0')).toBe(
      '-ERR count should be greater than 0\r\n',
    );
    for (const command of ['blpop', 'bzpopmax']) expect(await main.run(command, 'none', 's', '1')).toBe(WRONGTYPE);
    expect(await main.run('blmove', 's', 'm', 'left', 'left', '1')).toBe(WRONGTYPE);
    await main.run('rpush', 'l', 'a');
    expect(await main.run('brpoplpush', 'l', 's', '1')).toBe(WRONGTYPE);
    expect(await main.run('blmpop', '1', '1', 's', 'left')).toBe(WRONGTYPE);
    expect(await main.run('bzmpop', '1', '1', 'l', 'min')).toBe(WRONGTYPE);
  });

  it('gives up after the timeout', async () => {
    const commands: Arg[][] = [
      ['blpop', 'a', 'b', '0.1'],
      ['brpop', 'a', '0.1'],
      ['blmove', 'a', 'b', 'left', 'right', '0.1'],
      ['brpoplpush', 'a', 'b', '0.1'],
      ['blmpop', '0.1', '1', 'a', 'left'],
      ['bzpopmin', 'a', '0.1'],
      ['bzpopmax', 'a', '0.1'],
      ['bzmpop', '0.1', '2', 'a', 'b', 'min'],
    ];
    const startedMs = performance.now();
    const replies = await Promise.all(commands.map(async (command) => (await client()).run(...command)));
    const elapsedMs = performance.now() - startedMs;
    expect(replies).toEqual(commands.map(() => NONE));
    expect(elapsedMs).toBeGreaterThan(95);
    expect(elapsedMs).toBeLessThan(2000);
    await untilBlocked(0);
  });

  const WAKERS: readonly (readonly [name: string, before: Arg[][], write: Arg[], taken: string])[] = [
    ['LPUSH', [], ['lpush', 'k', 'v'], 'v'],
    ['RPUSH', [], ['rpush', 'k', 'v', 'w'], 'v'],
    ['RENAME', [['rpush', 'o', 'v']], ['rename', 'o', 'k'], 'v'],
    ['COPY', [['rpush', 'o', 'v']], ['copy', 'o', 'k'], 'v'],
    ['SORT STORE', [['rpush', 'o', '3', '2']], ['sort', 'o', 'store', 'k'], '2'],
    ['LMOVE', [['rpush', 'o', 'v']], ['lmove', 'o', 'k', 'left', 'left'], 'v'],
    ['RPOPLPUSH', [['rpush', 'o', 'v']], ['rpoplpush', 'o', 'k'], 'v'],
    ['BLMOVE', [['rpush', 'o', 'v']], ['blmove', 'o', 'k', 'left', 'left', '0'], 'v'],
    [
      'MOVE',
      [
        ['select', '1'],
        ['rpush', 'k', 'v'],
      ],
      ['move', 'k', '0'],
      'v',
    ],
    [
      'COPY to another database',
      [
        ['select', '1'],
        ['rpush', 'o', 'v'],
      ],
      ['copy', 'o', 'k', 'db', '0'],
      'v',
    ],
    [
      'SWAPDB',
      [
        ['select', '1'],
        ['rpush', 'k', 'v'],
      ],
      ['swapdb', '0', '1'],
      'v',
    ],
  ];

  it.each(WAKERS)('is woken by %s', async (_command, before, write, taken) => {
    const writer = await client();
    for (const command of before) await writer.run(...command);
    const { reply } = await waits('blpop', 'none', 'k', '0');
    const written = await writer.run(...write);
    expect(written[0]).not.toBe('-');
    expect(await reply).toBe(bulks('k', taken));
    await untilBlocked(0);
  });

  it('is woken by sorted sets', async () => {
    const lowest = await waits('bzpopmin', 'k', '0');
    expect(await main.run('zadd', 'k', '2', 'b', '1', 'a')).toBe(':2\r\n');
    expect(await lowest.reply).toBe(bulks('k', 'a', '1'));
    await main.run('del', 'k');
    const highest = await waits('bzmpop', '0', '1', 'k', 'max');
    await main.run('zadd', 'o', '5', 'x', '6', 'y');
    expect(await main.run('zunionstore', 'k', '1', 'o')).toBe(':2\r\n');
    expect(await highest.reply).toBe(`*2\r\n${bulk('k')}*1\r\n${bulks('y', '6')}`);
  });

  it('is not woken by other keys, other databases and other types', async () => {
    const list = await waits('blpop', 'k', 'k2', '0');
    const zset = await waits('bzpopmin', 'k', '0');
    await main.pipeline([
      ['lpush', 'other', 'v'],
      ['set', 'k2', 'v'],
      ['select', '1'],
      ['lpush', 'k', 'v'],
      ['zadd', 'k', '1', 'v'],
      ['select', '0'],
    ]);
    await untilBlocked(2);
    await main.run('zadd', 'k', '1', 'v');
    expect(await zset.reply).toBe(bulks('k', 'v', '1'));
    await main.run('rpush', 'k', 'e');
    expect(await list.reply).toBe(bulks('k', 'e'));
    expect(await main.run('exists', 'k')).toBe(':0\r\n');
  });

  it('serves those who came first, one element each', async () => {
    const first = await waits('blpop', 'k', '0');
    const second = await waits('brpop', 'other', 'k', '0');
    const third = await waits('blmpop', '0', '1', 'k', 'left');
    await main.run('rpush', 'k', 'a');
    expect(await first.reply).toBe(bulks('k', 'a'));
    await untilBlocked(2);
    expect(await main.run('rpush', 'k', 'b', 'c', 'd')).toBe(':3\r\n');
    expect(await second.reply).toBe(bulks('k', 'd'));
    expect(await third.reply).toBe(`*2\r\n${bulk('k')}${bulks('b')}`);
    expect(await main.run('lrange', 'k', '0', '-1')).toBe(bulks('c'));
  });

  it('serves many, and those who wait for something else behind them', async () => {
    const replies: Promise<string>[] = [];
    for (let i = 0; i < 12; i++) replies.push((await waits('blpop', 'k', '0')).reply);
    const zset = await waits('bzpopmin', 'k', '0');
    const elsewhere = await client();
    await elsewhere.run('select', '1');
    const inOther = elsewhere.run('brpop', 'k', '0');
    await untilBlocked(14);
    await main.run('zadd', 'k', '1', 'm');
    expect(await zset.reply).toBe(bulks('k', 'm', '1'));
    const writer = await client();
    await writer.run('select', '1');
    await writer.run('rpush', 'k', 'x');
    expect(await inOther).toBe(bulks('k', 'x'));
    const names = replies.map((_, i) => `e${i}`);
    expect(await main.run('rpush', 'k', ...names, 'more')).toBe(':13\r\n');
    expect(await Promise.all(replies)).toEqual(names.map((name) => bulks('k', name)));
    expect(await main.run('lrange', 'k', '0', '-1')).toBe(bulks('more'));
  });

  it('passes over those who go while they are woken', async () => {
    const clients: RawClient[] = [];
    for (let i = 0; i < 6; i++) clients.push((await waits('blpop', 'k', '0')).client);
    const last = await waits('blpop', 'k', '0');
    const ids = await main.run('client', 'list');
    const blocked = [...ids.matchAll(/id=(\d+) .*flags=b/g)].map((match) => match[1]);
    const kills = blocked.slice(0, 6).map((id) => ['client', 'unblock', id]);
    await main.pipeline([...kills, ['rpush', 'k', 'v']]);
    expect(await last.reply).toBe(bulks('k', 'v'));
    expect(clients.length).toBe(6);
  });

  it('serves them before the next command of whoever pushed', async () => {
    const { reply } = await waits('blpop', 'k', '0');
    expect(
      await main.pipeline([
        ['rpush', 'k', 'a'],
        ['llen', 'k'],
        ['lpop', 'k'],
      ]),
    ).toEqual([':1\r\n', ':0\r\n', '$-1\r\n']);
    expect(await reply).toBe(bulks('k', 'a'));
  });

  it('tells who has waited long enough, or is to wait no more, while clients pause', async () => {
    const ended = (await waits('blpop', 'k', '0')).reply;
    const late = (await waits('blpop', 'k', '0.2')).reply;
    const ids = [...(await main.run('client', 'list')).matchAll(/id=(\d+) .*flags=b/g)].map((match) => match[1]);
    const startedAt = performance.now();
    await main.pipeline([
      ['client', 'pause', '3000', 'write'],
      ['client', 'unblock', ids[0], 'error'],
    ]);
    expect(await ended).toMatch(/^-UNBLOCKED/);
    expect(await late).toBe(NONE);
    expect(performance.now() - startedAt).toBeLessThan(2500);
    await main.run('client', 'unpause');
  });

  it('hands an element on through a chain of moves', async () => {
    const last = await waits('blpop', 'c', '0');
    const middle = await waits('blmove', 'b', 'c', 'left', 'right', '0');
    const first = await waits('brpoplpush', 'a', 'b', '0');
    expect(await main.run('rpush', 'a', 'v')).toBe(':1\r\n');
    expect(await first.reply).toBe(bulk('v'));
    expect(await middle.reply).toBe(bulk('v'));
    expect(await last.reply).toBe(bulks('c', 'v'));
    expect(await main.run('exists', 'a', 'b', 'c')).toBe(':0\r\n');
  });

  it('serves those who came first also where some wait for another key too', async () => {
    const waiting = [];
    for (let i = 0; i < 7; i++) {
      waiting.push(await (i === 0 || i === 6 ? waits('blpop', 'other', 'k', '3') : waits('blpop', 'k', '3')));
    }
    expect(await main.run('rpush', 'k', 'e0', 'e1', 'e2', 'e3', 'e4', 'e5', 'e6')).toBe(':7\r\n');
    for (const [i, { reply }] of waiting.entries()) expect(await reply).toBe(bulks('k', `e${i}`));
  });

  it('hands an element on through a chain before the next command of whoever pushed', async () => {
    for (const thief of [
      ['lpop', 'j'],
      ['del', 'j'],
    ]) {
      const mover = await waits('brpoplpush', 'k', 'j', '3');
      const last = await waits('brpop', 'j', '3');
      const [, stolen] = await main.pipeline([['lpush', 'k', 'x'], thief]);
      expect(stolen).toBe(thief[0] === 'del' ? ':0\r\n' : '$-1\r\n');
      expect(await mover.reply).toBe(bulk('x'));
      expect(await last.reply).toBe(bulks('j', 'x'));
    }
  });

  it('serves before the next command of whoever stored, or exchanged databases', async () => {
    const sorted = await waits('blpop', 'k', '3');
    expect(
      (
        await main.pipeline([
          ['rpush', 'q', '2', '1'],
          ['sort', 'q', 'store', 'k'],
          ['del', 'k'],
        ])
      )[2],
    ).toBe(':1\r\n');
    expect(await sorted.reply).toBe(bulks('k', '1'));
    const swapped = await waits('blpop', 'k', '3');
    const replies = await main.pipeline([
      ['select', '1'],
      ['rpush', 'k', 'z'],
      ['swapdb', '0', '1'],
      ['select', '0'],
      ['del', 'k'],
    ]);
    expect(replies[4]).toBe(':0\r\n');
    expect(await swapped.reply).toBe(bulks('k', 'z'));
  });

  it('tells a woken move whose target has a wrong type', async () => {
    const { reply } = await waits('blmove', 'a', 's', 'left', 'right', '0');
    await main.run('set', 's', 'v');
    await main.run('rpush', 'a', 'v');
    expect(await reply).toBe(WRONGTYPE);
    expect(await main.run('llen', 'a')).toBe(':1\r\n');
  });

  it('lets commands behind it wait', async () => {
    const own = await client();
    const replies = own.pipeline([
      ['set', 's', '1'],
      ['blpop', 'k', '0'],
      ['incr', 's'],
      ['blpop', 'k', '0.05'],
      ['ping'],
    ]);
    await untilBlocked(1);
    expect(await main.run('get', 's')).toBe(bulk('1'));
    await main.run('rpush', 'k', 'v');
    expect(await replies).toEqual(['+OK\r\n', bulks('k', 'v'), ':2\r\n', NONE, '+PONG\r\n']);
  });

  it('waits for 50,000 keys without keeping others waiting', async () => {
    const startedMs = performance.now();
    const { reply } = await waits('blpop', ...Array.from({ length: 50_000 }, (_, i) => `key:${i}`), '0');
    expect(await main.run('rpush', 'key:49999', 'x')).toBe(':1\r\n');
    expect(await reply).toBe(bulks('key:49999', 'x'));
    expect(performance.now() - startedMs).toBeLessThan(1500);
  });

  it('takes nothing for a client that has gone', async () => {
    const gone = await waits('blpop', 'k', '0');
    const stays = await waits('blpop', 'k', '0');
    gone.client.close();
    await untilBlocked(1);
    await main.run('rpush', 'k', 'v', 'w');
    expect(await stays.reply).toBe(bulks('k', 'v'));
    expect(await main.run('lrange', 'k', '0', '-1')).toBe(bulks('w'));
  });

  it('takes nothing for a client that has gone before its command could begin', async () => {
    await main.run('rpush', 'paused', 'a');
    const gone = await target.connect();
    await main.run('client', 'pause', 400, 'write');
    void gone.run('blpop', 'paused', 0).catch(() => {});
    await sleep(100);
    gone.close();
    await sleep(600);
    expect(await main.run('llen', 'paused')).toBe(':1\r\n');
    await main.run('del', 'paused');
  });

  it('ends by CLIENT UNBLOCK', async () => {
    const own = await client();
    const id = /:(\d+)/.exec(await own.run('client', 'id'))?.[1] as string;
    expect(await main.run('client', 'unblock', id)).toBe(':0\r\n');
    for (const [words, expected] of [
      [[], NONE],
      [['timeout'], NONE],
      [['error'], '-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n'],
    ] as const) {
      const reply = own.run('blmove', 'k', 'l', 'left', 'left', '0');
      await untilBlocked(1);
      expect(await main.run('client', 'list', 'id', id)).toMatch(/ flags=b .* cmd=blmove /);
      expect(await main.run('client', 'unblock', id, ...words)).toBe(':1\r\n');
      expect(await reply).toBe(expected);
      await untilBlocked(0);
    }
    expect(await main.run('client', 'list', 'id', id)).toMatch(/ flags=N /);
    await main.run('rpush', 'k', 'v');
    expect(await own.run('blpop', 'k', '0')).toBe(bulks('k', 'v'));
  });

  it('loses and doubles nothing between many', async () => {
    const consumers = await Promise.all(Array.from({ length: 4 }, () => client()));
    const producers = await Promise.all(Array.from({ length: 2 }, () => client()));
    const taken: string[] = [];
    const consuming = consumers.map(async (consumer) => {
      for (let i = 0; i < 100; i++) taken.push(await consumer.run('blpop', 'q1', 'q2', 'q3', '10'));
    });
    for (let i = 0; i < 200; i++) {
      await Promise.all(producers.map((producer, p) => producer.run('rpush', `q${1 + (i % 3)}`, `${p}-${i}`)));
    }
    await Promise.all(consuming);
    expect(new Set(taken).size).toBe(400);
    expect(taken.every((reply) => reply.startsWith('*2\r\n'))).toBe(true);
    expect(await main.run('exists', 'q1', 'q2', 'q3')).toBe(':0\r\n');
  }, 20_000);
});

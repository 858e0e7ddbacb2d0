import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { globMatch } from '../../engine/glob.ts';
import { RedisServer, redisAvailable } from '../support/redis.ts';

const SEED = 20_26;

/** Short texts over the bytes that mean something in a pattern, and a few letters. */
const text = (letters: string, maxLength: number) =>
  fc.array(fc.constantFrom(...letters), { maxLength }).map((parts) => parts.join(''));

describe.skipIf(!redisAvailable)(
  'globMatch beside the KEYS and CONFIG GET of redis-server (needs it installed)',
  () => {
    let server: RedisServer;
    let client: Redis;

    beforeAll(async () => {
      server = await RedisServer.start();
      client = new Redis(server.port, '127.0.0.1');
    });
    afterAll(async () => {
      client?.disconnect();
      await server?.stop();
    });

    function ours(pattern: string, texts: string[], ignoreCase: boolean): string[] {
      const p = Buffer.from(pattern);
      return texts.filter((one) => {
        const t = Buffer.from(one);
        return globMatch(p, 0, p.length, t, 0, t.length, ignoreCase);
      });
    }

    it('agree on random patterns over random keys', async () => {
      const keys = new Set(['', ...fc.sample(text('abcABC*?[]^-\\', 6), { numRuns: 600, seed: SEED })]);
      await client.mset(...[...keys].flatMap((key) => [key, '1']));
      const patterns = fc.sample(text('aabcC***??[[]]^--\\', 9), { numRuns: 3000, seed: SEED });
      const replies = await Promise.all(patterns.map((pattern) => client.keys(pattern)));
      patterns.forEach((pattern, i) => {
        // KEYS answers the single star without asking the matcher.
        const expected = pattern === '*' ? replies[i].filter((key) => key !== '') : replies[i];
        expect({ pattern, keys: ours(pattern, [...keys], false).sort() }).toEqual({ pattern, keys: expected.sort() });
      });
    });

    it('agree on patterns without regard to case', async () => {
      const all = (await client.config('GET', '*')) as string[];
      const names = all.filter((_, i) => i % 2 === 0);
      const patterns = fc
        .sample(text('aAmMxXe-**??[[]]^\\z', 9), { numRuns: 1500, seed: SEED })
        .filter((pattern) => /[*?[]/.test(pattern));
      const replies = (await Promise.all(patterns.map((pattern) => client.config('GET', pattern)))) as string[][];
      patterns.forEach((pattern, i) => {
        const expected = replies[i].filter((_, at) => at % 2 === 0);
        expect({ pattern, names: ours(pattern, names, true).sort() }).toEqual({ pattern, names: expected.sort() });
      });
    });
  },
);

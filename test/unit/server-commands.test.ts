/** The pieces behind the commands about the server, each by itself and without sockets. */
import { describe, expect, it } from 'vitest';
import { type CommandRow, CommandTable, FAST, READONLY, SCOPE_NONE, SKIP_SLOWLOG } from '../../engine/command.ts';
import { engineRows } from '../../engine/commands/index.ts';
import { excerptArguments, packExcerpt, unpackExcerpt } from '../../engine/excerpt.ts';
import { addDatabase, TtlSample, tableBytesOf } from '../../engine/inspect.ts';
import { tableOf } from '../../engine/keyspace.ts';
import { Random } from '../../engine/random.ts';
import { Request } from '../../engine/request.ts';
import { tableBytes } from '../../engine/table.ts';
import { categoriesOf } from '../../net/commands/categories.ts';
import { KEY_RULES, TIPS } from '../../net/commands/command-facts.ts';
import { keySpecsOf, keysOf } from '../../net/commands/keyspecs.ts';
import { parseSyntax } from '../../net/commands/syntax.ts';
import { SYNTAX } from '../../net/commands/syntax-table.ts';
import { humanBytes, percent } from '../../net/info/format.ts';
import { LatencyMonitor } from '../../net/latency.ts';
import { latencyDoctor, latencyGraph } from '../../net/latency-report.ts';
import { SlowLog } from '../../net/slowlog.ts';
import { CommandStats } from '../../net/stats.ts';
import { CommandWatch } from '../../net/watch.ts';
import { TestEngine } from '../support/engine.ts';

function request(...words: (string | Uint8Array)[]): Request {
  const parts = words.map((word) => Buffer.from(word as string));
  const made = new Request();
  made.buf = new Uint8Array(Buffer.concat(parts));
  made.reserveArgs(parts.length);
  made.argc = parts.length;
  let at = 0;
  parts.forEach((part, i) => {
    made.off[i] = at;
    made.len[i] = part.length;
    at += part.length;
  });
  return made;
}

/** A row of which only the name and flags matter. */
function row(name: string, flags = 0): CommandRow {
  const place = { firstKey: 0, lastKey: 0, keyStep: 0, group: 'server', scope: SCOPE_NONE };
  return { name, arity: -1, flags, since: '1.0.0', complexity: 'O(1)', summary: 'Test', run: () => {}, ...place };
}

describe('an excerpt of arguments', () => {
  it('is short, and says what it leaves out', () => {
    expect(excerptArguments(request('set', 'k', 'v'))).toEqual(['set', 'k', 'v']);
    expect(excerptArguments(request('x'.repeat(128)))).toEqual(['x'.repeat(128)]);
    expect(excerptArguments(request('x'.repeat(130)))).toEqual([`${'x'.repeat(128)}... (2 more bytes)`]);
    const words = Array.from({ length: 32 }, (_, i) => String(i));
    expect(excerptArguments(request(...words))).toEqual(words);
    const cut = excerptArguments(request(...words, '32', '33'));
    expect([cut.length, cut[30], cut[31]]).toEqual([32, '30', '... (3 more arguments)']);
  });

  it('keeps every byte, through a ring too', () => {
    const bytes = Uint8Array.from({ length: 128 }, (_, i) => i * 2);
    const [text] = excerptArguments(request(bytes));
    expect(Buffer.from(text, 'latin1')).toEqual(Buffer.from(bytes));
    const packed = packExcerpt([text, 'b']);
    const ring = new Uint8Array(new SharedArrayBuffer(packed.length + 10));
    ring.set(packed, 5);
    expect(unpackExcerpt(ring, 5, packed.length)).toEqual([text, 'b']);
  });
});

describe('CommandWatch', () => {
  const session = { addr: '127.0.0.1:5', name: 'me' };

  function call(...words: string[]) {
    return Object.assign(request(...words), { session }) as unknown as Parameters<CommandWatch['slow']>[0];
  }

  function watch(slowerThanUs: number, latencyMs: number): CommandWatch {
    const made = new CommandWatch(new SlowLog(), new LatencyMonitor());
    made.setThresholds(slowerThanUs, latencyMs);
    return made;
  }

  it('is concerned from the lower threshold on', () => {
    expect(watch(10_000, 0).thresholdUs).toBe(10_000);
    expect(watch(10_000, 5).thresholdUs).toBe(5000);
    expect(watch(-1, 5).thresholdUs).toBe(5000);
    expect(watch(-1, 0).thresholdUs).toBe(Number.POSITIVE_INFINITY);
    expect([watch(0, 0).needsExactTimes, watch(10_000, 0).needsExactTimes]).toEqual([true, false]);
  });

  it('tells the slow log and the latency monitor, each by its own threshold', () => {
    const made = watch(10_000, 5);
    made.slow(call('get', 'k'), row('get', FAST), 7000);
    made.slow(call('keys', '*'), row('keys'), 12_345.6);
    made.slow(call('exec'), row('exec', SKIP_SLOWLOG), 20_000);
    expect([...made.latency.events.keys()]).toEqual(['fast-command', 'command']);
    expect(made.slowLog.entries).toMatchObject([
      { id: 0, elapsedUs: 12_346, args: ['keys', '*'], addr: '127.0.0.1:5', name: 'me' },
    ]);
  });

  it('keeps passwords out of the slow log', () => {
    const made = watch(0, 0);
    const logged = (name: string, ...words: string[]): string[] => {
      made.slow(call(...words), row(name), 1);
      return made.slowLog.entries[0].args;
    };
    const hidden = '(redacted)';
    expect(logged('auth', 'AUTH', 'p')).toEqual(['AUTH', hidden]);
    expect(logged('auth', 'AUTH', 'u', 'p')).toEqual(['AUTH', hidden, hidden]);
    expect(logged('hello', 'HELLO', '3', 'Auth', 'u', 'p', 'SETNAME', 'n')).toEqual([
      'HELLO',
      '3',
      'Auth',
      hidden,
      hidden,
      'SETNAME',
      'n',
    ]);
    expect(logged('hello', 'HELLO', '3')).toEqual(['HELLO', '3']);
    expect(logged('config|set', 'CONFIG', 'SET', 'hz', '5', 'RequirePass', 'p')).toEqual([
      'CONFIG',
      'SET',
      'hz',
      '5',
      'RequirePass',
      hidden,
    ]);
  });

  it('says when it does not know the arguments', () => {
    const made = watch(0, 0);
    made.slowRun(call('set', 'k', 'v'), row('set'), 1, 5, true);
    made.slowRun(call('set', 'k', 'v'), row('set'), 7, 5, true);
    made.slowOnWorker(row('config|get'), 5, undefined, undefined);
    expect(made.slowLog.entries.map(({ args, addr }) => [args.join(' '), addr])).toEqual([
      ['config get ... (arguments not kept)', '?:0'],
      ['set ... (arguments not kept: one of 7 in a pipeline)', '127.0.0.1:5'],
      ['set k v', '127.0.0.1:5'],
    ]);
  });
});

describe('SlowLog', () => {
  it('keeps the newest entries, and counts on', () => {
    const log = new SlowLog();
    log.maxLength = 2;
    for (let i = 0; i < 4; i++) log.add([String(i)], i, 'a', '');
    expect(log.entries.map(({ id, args }) => [id, args[0]])).toEqual([
      [3, '3'],
      [2, '2'],
    ]);
    log.reset();
    log.maxLength = 0;
    log.add(['x'], 1, 'a', '');
    expect(log.entries).toEqual([]);
    log.maxLength = 1;
    log.add(['y'], 1, 'a', '');
    expect(log.entries[0].id).toBe(5);
  });
});

describe('CommandStats', () => {
  const table = new CommandTable([row('fast', FAST | READONLY), row('slow'), row('unlink', FAST)]);
  const [fast, slow, unlink] = [0, 1, 2];

  function busy(ms: number): void {
    const until = performance.now() + ms;
    while (performance.now() < until);
  }

  it('times fast commands together and others alone', () => {
    const stats = new CommandStats(table);
    stats.beginBatch(performance.now());
    for (let i = 0; i < 10; i++) {
      stats.starting(fast, 2);
      expect(stats.finished(fast, 2, 5)).toBe(0);
    }
    expect(stats.calls[fast]).toBe(0);
    stats.starting(slow, 2);
    expect(stats.calls[fast]).toBe(10);
    busy(1);
    expect(stats.finished(slow, 2, 5)).toBeGreaterThanOrEqual(1000);
    expect(stats.latency[fast]?.totalCount).toBe(10);
    stats.endBatch();
    expect([stats.calls[slow], stats.totalCommands]).toEqual([1, 11]);
  });

  it('times a fast command alone when it is long, when it frees much, and when it must know', () => {
    const stats = new CommandStats(table);
    const timed = (id: number, argc: number, replyBytes: number): number => {
      stats.beginBatch(performance.now());
      stats.starting(id, argc);
      busy(0.2);
      return stats.finished(id, argc, replyBytes);
    };
    expect(timed(fast, 2, 10)).toBe(0);
    expect(timed(fast, 100, 10)).toBeGreaterThan(100);
    expect(timed(fast, 2, 100_000)).toBeGreaterThan(100);
    expect(timed(unlink, 2, 10)).toBeGreaterThan(100);
    stats.exact = true;
    expect(timed(fast, 2, 10)).toBeGreaterThan(100);
  });

  it('tells of a run that took much longer than usual', () => {
    const stats = new CommandStats(table);
    const told: [number, number, number][] = [];
    stats.onLongRun = (id, calls, excessUs) => told.push([id, calls, excessUs]);
    stats.longRunUs = 5000;
    const run = (calls: number, ms: number): void => {
      stats.beginBatch(performance.now());
      for (let i = 0; i < calls; i++) {
        stats.starting(fast, 2);
        if (i === 1) busy(ms);
        stats.finished(fast, 2, 5);
      }
      stats.endBatch();
    };
    run(5, 0);
    run(5, 20);
    expect(told.length).toBeGreaterThanOrEqual(1);
    const [id, calls, excessUs] = told[told.length - 1];
    expect([id, calls]).toEqual([fast, 5]);
    expect(excessUs).toBeGreaterThan(15_000);
  });

  it('forgets counts, not costs', () => {
    const stats = new CommandStats(table);
    stats.record(slow, 1, 1000);
    stats.error(slow, 'ERR', false);
    const cost = stats.costUs[slow];
    stats.reset();
    expect([stats.calls[slow], stats.totalErrors, stats.errors.size, stats.latency[slow]]).toEqual([
      0,
      0,
      0,
      undefined,
    ]);
    expect(stats.costUs[slow]).toBe(cost);
  });

  it('counts beyond 32 bits', () => {
    const stats = new CommandStats(table);
    for (let i = 0; i < 3; i++) stats.record(fast, 3e9, 3e9);
    expect(stats.latency[fast]?.totalCount).toBe(9e9);
    expect(stats.latency[fast]?.getValueAtPercentile(50)).toBeLessThan(1100);
  });
});

describe('LatencyMonitor', () => {
  it('keeps the worst of each second', () => {
    const monitor = new LatencyMonitor();
    monitor.note('command', 1000);
    expect(monitor.events.size).toBe(0);
    monitor.thresholdMs = 10;
    monitor.note('command', 9.9);
    monitor.note('command', 10.7);
    monitor.note('command', 50);
    monitor.note('command', 20);
    const series = monitor.events.get('command');
    expect(series?.maxMs).toBe(50);
    expect(series?.samples.at(-1)?.ms).toBeGreaterThanOrEqual(20);
    expect([monitor.reset(['nosuch']), monitor.reset([])]).toEqual([0, 1]);
  });

  it('draws its samples, oldest at the left, the ages below', () => {
    const samples = [2, 10, 30, 5, 100].map((ms, i) => ({ atSec: 1000 + i * 70, ms }));
    const graph = latencyGraph('command', { samples, maxMs: 300 }, 1340);
    expect(graph.split('\n')).toEqual([
      'command - high 100 ms, low 2 ms (all time high 300 ms)',
      '-'.repeat(80),
      '    #',
      '    |',
      '  _ |',
      '__|_|',
      '     ',
      '54321',
      'mmmmm',
      '',
    ]);
    const young = latencyGraph('x', { samples: [0, 9].map((atSec) => ({ atSec, ms: 1 })), maxMs: 1 }, 12);
    expect(young.split('\n').slice(-4)).toEqual(['13', '2s', 's ', '']);
    const one = latencyGraph('x', { samples: [{ atSec: 0, ms: 7 }], maxMs: 7 }, 200_000);
    expect(one.split('\n').slice(2)).toEqual([' ', ' ', ' ', '_', ' ', '2', 'd', '']);
    const wide = Array.from({ length: 100 }, (_, i) => ({ atSec: i, ms: i }));
    expect(latencyGraph('x', { samples: wide, maxMs: 99 }, 100).split('\n')[2]).toHaveLength(80);
  });

  it('explains itself', () => {
    const monitor = new LatencyMonitor();
    expect(latencyDoctor(monitor)).toMatch(/^Latency monitoring is off/);
    monitor.thresholdMs = 10;
    expect(latencyDoctor(monitor)).toMatch(/^Nothing has taken 10 ms or longer/);
    monitor.events.set('command', { samples: [1, 3].map((i) => ({ atSec: i * 10, ms: i * 20 })), maxMs: 90 });
    monitor.events.set('event-loop', { samples: [{ atSec: 1, ms: 12 }], maxMs: 12 });
    const report = latencyDoctor(monitor);
    expect(report).toContain(
      '1. command: 2 spikes (average 40 ms, mean deviation 20 ms, one every 20.00 s). Worst of all time: 90 ms.',
    );
    expect(report).toContain('2. event-loop: 1 spike (average 12 ms, mean deviation 0 ms). Worst of all time: 12 ms.');
    expect(report).toContain('- event-loop: ');
  });
});

describe('figures of shards', () => {
  it('count keys and tables, and sample times to live', () => {
    const engine = new TestEngine({ shards: 1 });
    const arena = engine.shards.arenas[0];
    const sum = { keys: 0, expires: 0, tableBytes: 0 };
    addDatabase(arena, 0, sum);
    expect(sum).toEqual({ keys: 0, expires: 0, tableBytes: 0 });
    engine.nowMs = 1_700_000_000_000;
    for (let i = 0; i < 20_000; i++) engine.run('set', `key:${i}`, 'v', ...(i % 4 === 0 ? ['px', 60_000] : []));
    addDatabase(arena, 0, sum);
    expect([sum.keys, sum.expires]).toEqual([20_000, 5000]);
    const t = tableOf(arena, 0);
    const exact = tableBytes(arena, t);
    expect(tableBytesOf(arena, t)).toBe(sum.tableBytes);
    expect(Math.abs(sum.tableBytes - exact)).toBeLessThan(exact * 0.15);
    const ttl = new TtlSample();
    expect(ttl.averageMs).toBe(0);
    ttl.add(arena, 0, engine.nowMs + 20_000, new Random(3), 8);
    expect(ttl.averageMs).toBe(40_000);
    expect(ttl.count).toBeGreaterThan(3);
    expect(ttl.count).toBeLessThan(30);
    ttl.add(arena, 1, engine.nowMs, new Random(3), 8);
    expect(ttl.averageMs).toBe(40_000);
  });
});

describe('numbers of INFO', () => {
  it.each([
    [0, '0B'],
    [1023, '1023B'],
    [1024, '1.00K'],
    [916_272, '894.80K'],
    [6_709_248, '6.40M'],
    [25_276_502_016, '23.54G'],
    [2 ** 45, '32.00T'],
  ])('%i bytes are %s', (bytes, text) => {
    expect(humanBytes(bytes)).toBe(text);
  });

  it('nothing of nothing is no percent', () => {
    expect([percent(1, 3), percent(0, 0)]).toEqual(['33.33%', '0.00%']);
  });
});

describe('facts about commands', () => {
  const table = new CommandTable(engineRows);

  it('are there once for every command with keys', () => {
    const named = KEY_RULES.flatMap(([, names]) => names.split(' '));
    expect(named.length).toBe(new Set(named).size);
    const hinted = TIPS.flatMap(([, names]) => names.split(' '));
    expect(hinted.length).toBe(new Set(hinted).size);
    const keyed = table.rows.filter((each) => each.firstKey > 0 || each.keys !== undefined);
    expect(keyed.filter((each) => keySpecsOf(each.name).length === 0).map((each) => each.name)).toEqual([]);
    const plain = (names: string[]): string[] => names.filter((name) => !/^(memory\||(once|read)$)/.test(name));
    expect(plain(named).filter((name) => table.named(name) === undefined)).toEqual([]);
  });

  it('find a row by its name', () => {
    expect(table.named('OBJECT|Encoding')?.name).toBe('object|encoding');
    expect(table.named('object|nosuch')).toBeUndefined();
  });

  it.each([
    ['get k', ['1 RO access']],
    ['set k v', ['1 OW update']],
    ['set k v EX 10 get', ['1 RW access update']],
    ['mset a 1 b 2', ['1 OW update', '3 OW update']],
    ['del a b c', ['1 RM delete', '2 RM delete', '3 RM delete']],
    ['zunionstore d 2 a b weights 1 2', ['1 OW update', '3 RO access', '4 RO access']],
    ['rename a b', ['1 RW access delete', '2 OW update']],
    ['sort k by x get y store d', ['1 RO access', '7 OW update']],
    ['object encoding k', ['2 RO']],
    ['zunion 3 a b', undefined],
    ['zunion x a b', undefined],
  ])('%s', (line, wanted) => {
    const made = request(...line.split(' '));
    const found = table.resolve(made);
    expect(found).toBeDefined();
    const keys = found && keysOf(found, made);
    expect(keys?.map(({ argument, flags }) => [argument, ...flags].join(' '))).toEqual(wanted);
  });

  it('put commands into categories', () => {
    const of = (name: string): string => categoriesOf(table.named(name) as CommandRow).join(' ');
    expect(of('get')).toBe('read string fast');
    expect(of('flushall')).toBe('keyspace write slow dangerous');
    expect(of('zadd')).toBe('write sortedset fast');
    expect(of('object')).toBe('slow');
    expect(of('object|freq')).toBe('keyspace read slow');
  });
});

describe('the syntax of commands', () => {
  it('can be read on every line', () => {
    for (const line of Object.values(SYNTAX)) expect(parseSyntax(line).length).toBeGreaterThan(0);
  });

  it('has names, types, words, choices and blocks', () => {
    const leaf = (name: string, type: string, more: object = {}) => expect.objectContaining({ name, type, ...more });
    expect(parseSyntax('key:k [EX=seconds:i@2.6.12] ip:port:s-2.8.12')).toEqual([
      leaf('key', 'key', { keySpec: 0, flags: [] }),
      leaf('seconds', 'integer', { token: 'EX', since: '2.6.12', flags: ['optional'] }),
      leaf('ip:port', 'string', { deprecatedSince: '2.8.12' }),
    ]);
    expect(parseSyntax('where(LEFT equal!=) [PREFIX=prefix:s++] pair{a:p1 b:t}+')).toEqual([
      leaf('where', 'oneof', {
        parts: [leaf('left', 'pure-token', { token: 'LEFT' }), leaf('equal', 'pure-token', { token: '=' })],
      }),
      leaf('prefix', 'string', { token: 'PREFIX', flags: ['optional', 'multiple', 'multiple_token'] }),
      leaf('pair', 'block', {
        flags: ['multiple'],
        parts: [leaf('a', 'pattern', { keySpec: 1 }), leaf('b', 'unix-time')],
      }),
    ]);
  });

  it.each(['[key:k', 'a(b:s', 'key:k)', '{'])('refuses %j', (line) => {
    expect(() => parseSyntax(line)).toThrow(/^syntax: /);
  });
});

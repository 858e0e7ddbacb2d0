/** What the programs of the repository make of their command lines: none begins its work on one that it does not understand. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { redisAvailable } from '../support/redis.ts';

const ROOT = join(import.meta.dirname, '../..');

function run(program: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(ROOT, program), ...args], { encoding: 'utf8', timeout: 10_000 });
}

function expectRefusal(program: string, args: string[], text: string): void {
  const { status, stdout, stderr } = run(program, ...args);
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^[^\n]*\n$/);
  expect(stderr).toContain(text);
}

const PROGRAMS = [
  'test/cluster.ts',
  'test/durability.ts',
  'test/sim/raft.ts',
  'test/sim/mutants.ts',
  'bench/cluster.ts',
  'bench/durability.ts',
  'bench/hit-ratio.ts',
  'bench/limits.ts',
  'bench/micro.ts',
  'bench/redis.ts',
];

describe.each(PROGRAMS)('%s', (program) => {
  it('says how it is used', () => {
    const { status, stdout, stderr } = run(program, '--help');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/npm run [a-z:-]+/);
  });

  it('refuses an option that it does not know', () => expectRefusal(program, ['--nonsense'], "'--nonsense'"));
});

describe('refused is, too,', () => {
  it.each<[string, string[], string]>([
    ['test/cluster.ts', ['x'], "rounds takes a whole number from 1 to 1000000000, not 'x'"],
    ['test/cluster.ts', ['0'], "not '0'"],
    ['test/cluster.ts', ['1', '1.5'], "seed takes a whole number from 0 to 4294967295, not '1.5'"],
    ['test/cluster.ts', ['1', '2', '3'], "expected [rounds] [seed], found '1 2 3'"],
    ['test/durability.ts', ['1e3'], "not '1e3'"],
    ['test/durability.ts', [''], "not ''"],
    ['test/sim/raft.ts', ['--seed', 'x'], '--seed takes a whole number'],
    ['test/sim/raft.ts', ['--seeds', '1'], '--seeds is followed by FROM and COUNT'],
    ['test/sim/raft.ts', ['--seeds', '1', 'x'], "COUNT takes a whole number from 1 to 1000000000, not 'x'"],
    ['test/sim/raft.ts', ['--count', '0'], '--count takes a whole number'],
    ['test/sim/raft.ts', ['5'], "expected an option, found '5'"],
    ['test/sim/mutants.ts', ['--limit', '0'], '--limit takes a whole number'],
    ['test/sim/mutants.ts', ['nosuch'], "there is no bug 'nosuch'"],
    ['bench/cluster.ts', ['--only', 'x'], "--only: 'x' is none of kills, durable"],
    ['bench/cluster.ts', ['--logs', 'x'], "--logs: 'x' is none of"],
    ['bench/cluster.ts', ['--kills', 'x'], '--kills takes a whole number'],
    ['bench/durability.ts', ['--only', 'x'], "--only: 'x' is none of everysec"],
    ['bench/durability.ts', ['--rounds', 'x'], '--rounds takes a whole number'],
    ['bench/limits.ts', ['x'], "there is no measure 'x'"],
    ['bench/micro.ts', ['--time', 'x'], '--time takes a whole number'],
    ['bench/redis.ts', ['--tests', 'x'], "--tests: 'X' is none of"],
    ['bench/redis.ts', ['--pipelines', '1,x'], "--pipelines takes a whole number from 1 to 10000, not 'x'"],
    ['bench/redis.ts', ['--names', 'a'], '--names takes two names'],
  ])('%s %j', (program, args, text) => expectRefusal(program, args, text));

  it.skipIf(!redisAvailable).each<[string[], string]>([
    [['--ops', 'x'], '--ops takes a whole number'],
    [['--traces', 'zipf,x'], "--traces: 'x' is none of zipf, scan, shift"],
    [['--policies', 'x'], "--policies: 'x' is none of"],
  ])('bench/hit-ratio.ts %j (needs redis-server)', (args, text) => expectRefusal('bench/hit-ratio.ts', args, text));
});

it('each program of package.json that takes arguments is among them', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const programs = Object.entries(scripts)
    .filter(([name]) => /^(sim|test:|bench:)/.test(name))
    .map(([, words]) => words.split(' ')[1].replace('dist/in-process/', '').replace('.js', '.ts'));
  expect([...new Set(programs)].sort()).toEqual([...PROGRAMS].sort());
});

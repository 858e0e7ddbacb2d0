/**
 * The full-length run of what test/process/durability-kill.test.ts and test/property/powerloss.test.ts do shortly:
 * `npm run test:durability -- [rounds] [seed]`.
 *
 * First simulated losses of power (test/sim/powerloss.ts), five times as many rounds of them. Then rounds of load, kill -9
 * and restart with appendfsync always, one third of them in each dispatch mode; then a tenth as many in which random
 * commands of every kind are replayed and all that was there is compared. Prints a line now and then, tables, and everything
 * that is wrong; the exit code is 1 then.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { powerLossRun } from './sim/powerloss.ts';
import { roundsAndSeed } from './support/arguments.ts';
import { randomCommands } from './support/durability-commands.ts';
import { contentsOf, differencesOf } from './support/durability-contents.ts';
import { DurableNode } from './support/durability-node.ts';
import { killRounds } from './support/durability-rounds.ts';
import { MODES } from './support/node.ts';

const ROUNDS = 200;
const ROUNDS_PER_LINE = 10;
const POWER_LOSS_SHARE = 5;

const USAGE = `Usage: npm run test:durability -- [rounds] [seed]

  rounds   how many kills under load (${ROUNDS}); ${POWER_LOSS_SHARE} times as many losses of power, a tenth as many replays
  seed     what is drawn at random is drawn from (from the clock)
The exit code is 1 when something is wrong.`;

const { rounds, seed } = roundsAndSeed(USAGE, ROUNDS);
let isWrong = !(await powerLossRun(rounds * POWER_LOSS_SHARE, seed));
console.log(`kill -9 under load, appendfsync always: ${rounds} rounds, seed ${seed}, node ${process.versions.node}`);
const table: Record<string, Record<string, number>> = {};
for (const [i, mode] of MODES.entries()) {
  const share = Math.floor((rounds * (i + 1)) / MODES.length) - Math.floor((rounds * i) / MODES.length);
  const startedAt = performance.now();
  const done = await killRounds({
    flags: ['--appendonly', 'yes', '--appendfsync', 'always', '--dispatch', mode],
    rounds: share,
    seed: seed + i,
    onRound: (round) => {
      if ((round + 1) % ROUNDS_PER_LINE === 0) console.log(`${mode}: ${round + 1} of ${share} rounds`);
    },
  });
  table[mode] = {
    rounds: share,
    acknowledged: done.answered,
    'in flight': done.unanswered,
    'of those kept': done.kept,
    'acknowledged and missing': done.lost,
    'kills in a snapshot': done.killsInSnapshot,
    'kills at start': done.killsAtStart,
    problems: done.problems.length,
    seconds: Math.round((performance.now() - startedAt) / 1000),
  };
  for (const problem of done.problems) console.error(problem);
  isWrong ||= done.problems.length > 0 || done.lost > 0;
}
console.table(table);

console.log(`random commands, kill, restart: ${Math.ceil(rounds / 10)} rounds`);
for (let round = 0; round < rounds / 10; round++) {
  const mode = MODES[round % MODES.length];
  const evicts = round % 2 === 1;
  const limits = evicts ? ['--maxmemory', '1mb', '--maxmemory-policy', 'allkeys-random'] : [];
  const dir = mkdtempSync(join(tmpdir(), 'millrace-replay-'));
  const flags = ['--appendonly', 'yes', '--appendfsync', 'always', '--dispatch', mode, ...limits];
  let node = await DurableNode.start(dir, flags);
  for (let restart = 0; restart < 3; restart++) {
    await randomCommands(node, seed + round * 100 + restart, evicts);
    const before = await contentsOf(node);
    await node.kill();
    node = await DurableNode.start(dir, flags);
    const found = differencesOf(before, await contentsOf(node));
    for (const difference of found) console.error(`seed ${seed}, round ${round}, restart ${restart}: ${difference}`);
    isWrong ||= found.length > 0;
  }
  await node.kill();
  rmSync(dir, { recursive: true, force: true });
}
console.log(
  isWrong ? 'Something is wrong.' : 'Nothing is missing, torn or there twice, and replay makes what was there.',
);
process.exit(isWrong ? 1 : 0);

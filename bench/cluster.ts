/**
 * What three nodes of a group reach on one machine: `npm run bench:cluster`, `-- --help` for the options.
 *
 * - kills: the leader is killed again and again under load, with logs on disk and in memory
 * - durable: SET synced on a majority, beside three nodes of etcd
 * - speed: SET and GET with logs in memory, beside a single node
 * - catchup: a follower comes back a gibibyte behind
 * - saturation: far too many clients for two minutes
 *
 * All nodes, what they are compared with, the load and this program share the machine's cores; nothing is pinned.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chosen, MAX_COUNT, MAX_PORT, readArguments, whole } from '../test/support/arguments.ts';
import { CATCH_UP_LOG, measureCatchUp } from './cluster-catchup.ts';
import { etcdCommand, etcdVersion } from './cluster-etcd.ts';
import { LOGS, type Log, measureKills } from './cluster-kills.ts';
import { type ClusterResults, clusterReport } from './cluster-report.ts';
import { measureSaturation, saturationWords } from './cluster-saturation.ts';
import { type ClusterPlan, groupCommand, MEMORY_LOG, singleCommand, tell } from './cluster-servers.ts';
import { measureDurable, measureSpeed } from './cluster-throughput.ts';
import { measureDisk } from './durability-disk.ts';
import { progress } from './durability-servers.ts';
import { machine, ownVersion } from './report.ts';

const RESULTS = fileURLToPath(new URL('CLUSTER.md', import.meta.url));
const PARTS = ['kills', 'durable', 'speed', 'catchup', 'saturation'] as const;
type Part = (typeof PARTS)[number];
const ROUNDS: Partial<Record<Part, number>> = { durable: 3, speed: 3, catchup: 1 };
const KILLS = 200;
const QUICK_KILLS = 3;
const SECONDS = 120;
const QUICK_SECONDS = 5;
const SYNCS = 200;
const QUICK_SYNCS = 20;

const HELP = `Usage: npm run bench:cluster -- [options]

  --quick        one round, little of everything: only to see that it works
  --rounds N     rounds (${Object.entries(ROUNDS)
    .map(([part, rounds]) => `${part} ${rounds}`)
    .join(', ')})
  --kills N      leader kills with each kind of log (${KILLS})
  --logs a,b     of ${Object.keys(LOGS).join(', ')}: the logs of the kills (both)
  --seconds N    of saturation (${SECONDS})
  --only a,b     of ${PARTS.join(', ')} (all)
  --port N       first of 60 ports to use (20500)
  --out FILE     where to write the report (bench/CLUSTER.md for a whole run, else nowhere)

The servers' directories are made where TMPDIR says. durable needs etcd (Debian: etcd-server).
`;

const { values: options } = readArguments(HELP, {
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    kills: { type: 'string' },
    logs: { type: 'string', default: Object.keys(LOGS).join(',') },
    seconds: { type: 'string' },
    only: { type: 'string', default: PARTS.join(',') },
    port: { type: 'string', default: '20500' },
    out: { type: 'string' },
  },
});

const firstPort = whole('--port', options.port, 1, MAX_PORT);
const rounds = countOf('--rounds', options.rounds);
const kills = countOf('--kills', options.kills);
const seconds = countOf('--seconds', options.seconds);
const parts = chosen('--only', options.only, PARTS);
const logs = chosen('--logs', options.logs, Object.keys(LOGS)) as Log[];

function countOf(name: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : whole(name, text, 1, MAX_COUNT);
}

function planOf(part: Part): ClusterPlan {
  const { quick } = options;
  return {
    quick,
    rounds: rounds ?? (quick ? 1 : (ROUNDS[part] ?? 1)),
    firstPort,
    kills: kills ?? (quick ? QUICK_KILLS : KILLS),
    seconds: seconds ?? (quick ? QUICK_SECONDS : SECONDS),
  };
}

function setting(): string[] {
  const port = firstPort;
  const group = (log: string): string => `\`${tell(groupCommand(log, port, 0).replace('{port}', String(port)))}\``;
  const flags = process.argv.slice(2).map((word) => ` ${word}`);
  return [
    new Date().toISOString().slice(0, 10),
    ...machine(),
    `Millrace ${ownVersion()}, etcd ${etcdVersion ?? 'not installed'}`,
    `\`npm run bench:cluster${flags.join('')}\`${options.quick ? ': a quick run, whose numbers mean nothing' : ''}`,
    `node 1 with its log in memory: ${group(MEMORY_LOG)}; on disk \`${LOGS.disk}\`, for the catch-up \`${CATCH_UP_LOG}\``,
    `single node: \`${tell(singleCommand(MEMORY_LOG))}\``,
    `etcd 1: \`${etcdCommand(port, 0)}\``,
    `saturation: \`${saturationWords(port).join(' ')}\``,
    `rounds: ${(Object.keys(ROUNDS) as Part[]).map((part) => `${part} ${planOf(part).rounds}`).join(', ')}; each with fresh servers, measured in turn`,
    'nothing pinned: three nodes, their load and this program share all cores; what is not being measured is stopped (SIGSTOP)',
  ];
}

async function main(): Promise<void> {
  const results: ClusterResults = {
    setting: setting(),
    kills: [],
    disk: undefined,
    durable: [],
    speed: undefined,
    catchUps: [],
    saturation: undefined,
    failures: [],
  };
  /** What goes wrong in one part does not take the others' results with it. */
  const measure = async (part: Part, work: (plan: ClusterPlan) => Promise<void>): Promise<void> => {
    if (!parts.includes(part)) return;
    try {
      await work(planOf(part));
    } catch (error) {
      results.failures.push({ part, why: error instanceof Error ? error.message : String(error) });
      process.exitCode = 1;
    }
  };
  await measure('durable', async (plan) => {
    if (etcdVersion === undefined) throw new Error('etcd is not installed');
    results.disk = measureDisk(plan.quick ? QUICK_SYNCS : SYNCS);
    results.durable = await measureDurable(plan);
  });
  await measure('speed', async (plan) => {
    results.speed = await measureSpeed(plan);
  });
  await measure('catchup', async (plan) => {
    results.catchUps = await measureCatchUp(plan);
  });
  await measure('saturation', async (plan) => {
    results.saturation = await measureSaturation(plan);
  });
  for (const log of logs) {
    await measure('kills', async (plan) => {
      results.kills.push(await measureKills(plan, log));
    });
  }
  progress('');

  const text = clusterReport(results);
  process.stdout.write(text);
  const changed = [rounds, kills, seconds].some((value) => value !== undefined);
  const isWhole =
    parts.length === PARTS.length && logs.length === Object.keys(LOGS).length && !options.quick && !changed;
  const out = options.out ?? (isWhole ? RESULTS : undefined);
  if (out !== undefined) writeFileSync(out, text);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

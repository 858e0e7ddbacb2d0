/**
 * From the start of the process to the first answer that is not -LOADING, with the same keys: ours from its snapshot, from
 * its log alone and from redis-server's dump.rdb; redis-server from its own RDB file and its own log. The files lie in the
 * page cache, as after a restart of the process; each case is measured on one core and on all.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { splitWords } from '../net/config-file.ts';
import type { FillResult } from './durability-load.ts';
import {
  fileBytes,
  LOG_OPTIONS,
  load,
  makeDirectory,
  NAMES,
  NO_LOG_OPTIONS,
  type Plan,
  progress,
  removeDirectory,
  type Side,
  specOf,
} from './durability-servers.ts';
import { ask, cpuSecondsOf, onCore, pinned, run, SERVER_CORE, Server } from './proc.ts';

const BYTES = 1024 ** 3;
const QUICK_BYTES = 32 * 1024 ** 2;
/** How often a server that loads is asked. */
const ASK_MS = 2;
const TIMEOUT_MS = 300_000;

export type Source = 'snapshot' | 'log' | "Redis's RDB" | 'RDB';

interface Case {
  side: Side;
  from: Source;
  options: string;
  /** What of its directory it loads. */
  files: RegExp;
}

/** In the order in which they are filled: the third has the file of the fourth. */
export const CASES: readonly Case[] = [
  { side: 'ours', from: 'snapshot', options: NO_LOG_OPTIONS, files: /\.mrs$/ },
  { side: 'ours', from: 'log', options: LOG_OPTIONS, files: /appendonlydir\/.*\.log$/ },
  { side: 'ours', from: "Redis's RDB", options: NO_LOG_OPTIONS, files: /^dump\.rdb$/ },
  { side: 'theirs', from: 'RDB', options: NO_LOG_OPTIONS, files: /^dump\.rdb$/ },
  { side: 'theirs', from: 'log', options: LOG_OPTIONS, files: /appendonlydir\/.*\.(aof|rdb)$/ },
];

/** A case in words. */
export function nameOf({ side, from }: Case): string {
  return `${NAMES[side]} from ${from === "Redis's RDB" ? from : `its ${from}`}`;
}

export interface RestartSample {
  side: Side;
  from: Source;
  round: number;
  oneCore: boolean;
  seconds: number;
  /** Of all threads, until then. */
  cpuSeconds: number;
}

/** What lies in the directory of one case. */
export interface RestartData {
  side: Side;
  from: Source;
  keys: number;
  usedBytes: number;
  fileBytes: number;
}

export interface RestartResults {
  data: RestartData[];
  samples: RestartSample[];
}

/** Fills a server and stops it so that its directory holds what the case loads. */
async function prepare(
  plan: Plan,
  { side, options }: Case,
  dir: string,
  keys: number | undefined,
): Promise<FillResult> {
  const server = await Server.start(specOf(side, options, dir), plan.firstPort);
  try {
    const most = keys === undefined ? ['--bytes', plan.quick ? QUICK_BYTES : BYTES] : ['--keys', keys];
    const filled = await load<FillResult>('fill', '--port', server.port, ...most);
    if (options === NO_LOG_OPTIONS) await save(server.port);
    return filled;
  } finally {
    await server.stop();
  }
}

/** A SAVE may take longer than `ask` waits. */
async function save(port: number): Promise<void> {
  await ask(port, 'BGSAVE');
  const deadline = performance.now() + TIMEOUT_MS;
  while (/^rdb_bgsave_in_progress:1/m.test(await ask(port, 'INFO', 'persistence'))) {
    if (performance.now() > deadline) throw new Error('the snapshot does not end');
    await sleep(100);
  }
  if (!/^rdb_last_bgsave_status:ok/m.test(await ask(port, 'INFO', 'persistence'))) throw new Error('BGSAVE failed');
}

/** Asks PING on one connection until the answer is not -LOADING; false when the connection could not be had or was lost. */
function answered(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const ping = (): void => {
      socket.write('*1\r\n$4\r\nPING\r\n');
    };
    socket.once('connect', ping);
    socket.once('error', () => {});
    socket.once('close', () => resolve(false));
    socket.on('data', (data) => {
      const reply = data.toString('latin1');
      if (reply.startsWith('-LOADING')) {
        setTimeout(ping, ASK_MS);
        return;
      }
      socket.destroy();
      if (reply === '+PONG\r\n') resolve(true);
      else reject(new Error(`the answer to PING is ${JSON.stringify(reply)}`));
    });
  });
}

/** Starts the server, waits until it serves, looks whether every key is there, ends it. */
async function restart(
  plan: Plan,
  { side, options }: Case,
  dir: string,
  oneCore: boolean,
  keys: number,
): Promise<{ seconds: number; cpuSeconds: number }> {
  const command = specOf(side, options, dir).command.replace('{port}', String(plan.firstPort));
  const words = splitWords(command);
  if (words === undefined) throw new Error(`bad command line: ${command}`);
  const [file, ...args] = oneCore ? onCore(SERVER_CORE, words) : onAllCores(words);
  const startedAt = performance.now();
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  let complaint = '';
  child.stderr.on('data', (data) => {
    complaint = (complaint + data).slice(-2000);
  });
  try {
    while (!(await answered(plan.firstPort))) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${command} ended:\n${complaint}`);
      if (performance.now() - startedAt > TIMEOUT_MS) throw new Error(`${command} does not come up:\n${complaint}`);
      await sleep(ASK_MS);
    }
    const seconds = (performance.now() - startedAt) / 1000;
    const cpuSeconds = cpuSecondsOf(child.pid as number);
    const found = Number(await ask(plan.firstPort, 'DBSIZE'));
    if (found !== keys) throw new Error(`${command} has ${found} keys instead of ${keys}`);
    return { seconds, cpuSeconds };
  } finally {
    process.off('exit', kill);
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    }
  }
}

/** The bench itself keeps to one core, which its children would inherit. */
function onAllCores(words: string[]): string[] {
  const command = words[0] === 'node' ? [process.execPath, ...words.slice(1)] : words;
  return pinned ? ['taskset', '-c', `0-${cpus().length - 1}`, ...command] : command;
}

export async function measureRestarts(plan: Plan): Promise<RestartResults> {
  const results: RestartResults = { data: [], samples: [] };
  const dirs = CASES.map(() => makeDirectory());
  let keys: number | undefined;
  const fromTheirs = CASES.findIndex(({ from }) => from === "Redis's RDB");
  for (const [i, each] of CASES.entries()) {
    if (i === fromTheirs) continue;
    progress(`filling for ${nameOf(each)}`);
    const filled = await prepare(plan, each, dirs[i], keys);
    keys = filled.keys;
    results.data.push({ ...filled, side: each.side, from: each.from, fileBytes: fileBytes(dirs[i], each.files) });
    if (each.from !== 'RDB') continue;
    copyFileSync(join(dirs[i], 'dump.rdb'), join(dirs[fromTheirs], 'dump.rdb'));
  }
  await run(['sync']);
  for (let round = 0; round < plan.rounds; round++) {
    for (const oneCore of [true, false]) {
      const order = round % 2 === 0 ? [...CASES.keys()] : [...CASES.keys()].reverse();
      for (const i of order) {
        const { side, from } = CASES[i];
        progress(`round ${round + 1} of ${plan.rounds}: ${nameOf(CASES[i])}`);
        const taken = await restart(plan, CASES[i], dirs[i], oneCore, keys as number);
        results.samples.push({ side, from, round, oneCore, ...taken });
      }
    }
  }
  for (const dir of dirs) removeDirectory(dir);
  return results;
}

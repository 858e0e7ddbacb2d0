/**
 * A cluster on this machine in one terminal, to try things with: `npm run cluster`. Nodes are processes of their own; each has a
 * directory, a log file in it, and a line that says what it does (cluster-local-status.ts). Ends with its nodes: on Ctrl-C all of them are
 * asked to end, on a second one they are killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, rmSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { NodeStatus, StatusBoard } from './cluster-local-status.ts';

const HOST = '127.0.0.1';
const PEER_PORT_DISTANCE = 10_000;
const MAX_NODES = 9;
const REFRESH_MS = 500;
/** Nodes that do not end by themselves when asked are killed after so long. */
const PATIENCE_MS = 10_000;

const HELP = `A cluster of Millrace nodes on this machine, with a status line for each

  npm run cluster -- [options] [flags for every node]

  --nodes N     how many nodes (default 3)
  --port P      where the first one serves clients; the others on the ports behind it, peers ${PEER_PORT_DISTANCE} above (default 7001)
  --dir DIR     where they keep what they have: DIR/n1, DIR/n2 ... (default ./cluster)
  --wipe        begin anew: removes DIR/n1 ... first
  --help        this text

All other flags go to the nodes, which list them on --help: npm run cluster -- --appendonly yes --appendfsync always
Ctrl-C ends all nodes.
`;

interface LocalOptions {
  readonly nodes: number;
  readonly port: number;
  readonly dir: string;
  readonly wipe: boolean;
  readonly flags: readonly string[];
}

function fail(message: string): never {
  process.stderr.write(`cluster: ${message}\n`);
  process.exit(1);
}

/** Takes our own options out of the arguments; the rest is for the nodes. */
function readOptions(args: readonly string[]): LocalOptions {
  const own: string[] = [];
  const flags: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const name = args[i].split('=', 1)[0];
    if (name === '--wipe' || name === '--help' || name === '-h') own.push(args[i]);
    else if (name === '--nodes' || name === '--port' || name === '--dir') {
      own.push(args[i]);
      if (name === args[i] && i + 1 < args.length) own.push(args[++i]);
    } else {
      flags.push(args[i]);
    }
  }
  let values: { nodes: string; port: string; dir: string; wipe: boolean; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: own,
      options: {
        nodes: { type: 'string', default: '3' },
        port: { type: 'string', default: '7001' },
        dir: { type: 'string', default: 'cluster' },
        wipe: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    fail((error as Error).message);
  }
  if (values.help === true) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const nodes = whole('--nodes', values.nodes, 1, MAX_NODES);
  const port = whole('--port', values.port, 1, 65_535 - PEER_PORT_DISTANCE - nodes + 1);
  return { nodes, port, dir: resolve(values.dir), wipe: values.wipe, flags };
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    fail(`${name} takes a whole number from ${least} to ${most}, not '${text}'`);
  }
  return value;
}

/** Starts node i of the cluster; what it prints goes to a file in its directory. */
function startNode({ nodes, port, dir, flags }: LocalOptions, i: number): ChildProcess {
  const here = fileURLToPath(import.meta.url);
  const main = join(here, '..', `main${extname(here)}`);
  const initial = Array.from({ length: nodes }, (_, j) => `n${j + 1}=${HOST}:${port + j + PEER_PORT_DISTANCE}`);
  const own = join(dir, `n${i + 1}`);
  mkdirSync(own, { recursive: true });
  const args = [main, '--name', `n${i + 1}`, '--initial-cluster', initial.join(','), '--port', String(port + i)];
  const child = spawn(process.execPath, [...args, '--dir', own, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C is for this process, which then ends its nodes.
    detached: true,
  });
  const log = createWriteStream(join(own, 'node.log'), { flags: 'a' });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  return child;
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const { nodes: count, port, dir, wipe, flags } = options;
  for (let i = 1; wipe && i <= count; i++) rmSync(join(dir, `n${i}`), { recursive: true, force: true });
  const isNew = !existsSync(join(dir, 'n1'));
  const children = Array.from({ length: count }, (_, i) => startNode(options, i));
  const passwordAt = flags.indexOf('--requirepass');
  const password = passwordAt < 0 ? undefined : flags[passwordAt + 1];
  const nodes = children.map(
    (child, i) => new NodeStatus(`n${i + 1}`, { host: HOST, port: port + i }, child, password),
  );
  const ports = count === 1 ? `port ${port}` : `ports ${port} to ${port + count - 1}`;
  process.stdout.write(
    `${count} nodes on ${ports}, ${isNew ? 'new' : 'with what they have'} in ${dir}; what they print: ${dir}/n1/node.log ...\n` +
      `Any of them takes reads and writes: redis-cli -p ${port}   Ctrl-C ends all.\n\n`,
  );
  const board = new StatusBoard(nodes, process.stdout);
  const redraw = setInterval(() => board.refresh(), REFRESH_MS);

  let isEnding = false;
  const end = (): void => {
    const signal = isEnding ? 'SIGKILL' : 'SIGTERM';
    isEnding = true;
    for (const child of children) child.kill(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!isEnding) setTimeout(end, PATIENCE_MS).unref();
      end();
    });
  }
  // Whatever ends this process ends its nodes.
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL');
  });
  const codes = await Promise.all(
    children.map((child) => new Promise<number | null>((done) => child.once('exit', done))),
  );
  clearInterval(redraw);
  board.close();
  // Asked to, or all by themselves: a port that is taken, a flag that does not exist.
  if (!isEnding) fail(`all nodes have ended (${codes.join(', ')}); see ${dir}/n1/node.log`);
}

await main();

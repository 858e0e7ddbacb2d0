/** The program: reads the command line, puts a node together, serves until it is told to stop. */
import './v8flags.ts';
import { appendFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { isOfLog } from '../engine/log/base.ts';
import { realDisk } from '../engine/log/realdisk.ts';
import { stepBackCompilers } from '../engine/priority.ts';
import { rehearse } from '../engine/rehearsal.ts';
import { listSnapshots } from '../engine/snapshot/retain.ts';
import { REDIS_VERSION } from './commands/connection.ts';
import { type Action, Config, ConfigError, helpText } from './config.ts';
import { boundMaxClients } from './filelimit.ts';
import { systemMessage } from './files.ts';
import { humanBytes } from './info/format.ts';
import { Logger } from './log.ts';
import { Node } from './node.ts';
import { repairDirectory } from './repair.ts';
import { idleOptions } from './replica/conditions.ts';
import { VERSION } from './version.ts';

/** One line on standard error, and the end. */
function fail(message: string): never {
  process.stderr.write(`millrace: ${message.split('\n', 1)[0]}\n`);
  process.exit(1);
}

function readCommandLine(config: Config): Action {
  try {
    return config.parseArgs(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    fail(error.message);
  }
}

/** With its parents. (Node's own `recursive` never comes back where a file system lets nobody make directories.) */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path);
}

/** Goes to the working directory, made if need be, as all other paths count from there; opens the log. */
function enterDirectory(config: Config): Logger {
  const dir = config.get('dir');
  try {
    makeDirectory(dir);
    process.chdir(dir);
  } catch (error) {
    fail(`cannot use the directory '${dir}': ${systemMessage(error)}`);
  }
  const file = config.get('logfile');
  try {
    if (file !== '') appendFileSync(file, '');
  } catch (error) {
    fail(`cannot write the log file '${file}': ${systemMessage(error)}`);
  }
  return new Logger(file);
}

/** What an operator should know before it hurts. */
function warn(config: Config, log: Logger): void {
  const isLocal = (address: string): boolean => /^-?(127\.|::1$|localhost$)/.test(address);
  const outside = config.get('bind').filter((address) => !isLocal(address));
  if (outside.length > 0 && config.get('requirepass') === '') {
    log.write(
      'warning',
      `No password is set and other machines may connect (bind ${outside.join(' ')}): set requirepass`,
    );
  }
  const capacity = config.get('shards') * config.get('arena-size');
  if (config.get('maxmemory') > capacity) {
    const most = `${config.get('shards')} shards of ${humanBytes(config.get('arena-size'))}`;
    log.write('warning', `maxmemory is more than ${most} can hold: raise shards or arena-size`);
  }
  const cores = availableParallelism();
  if (config.get('workers') > cores) {
    log.write('warning', `${config.get('workers')} workers on ${cores} processors: threads will wait for each other`);
  }
}

function announce(config: Config, log: Logger): void {
  const limit = config.get('maxmemory');
  const memory = limit === 0 ? 'no maxmemory' : `maxmemory ${humanBytes(limit)} (${config.get('maxmemory-policy')})`;
  const workers = config.get('workers') === 1 ? '1 worker' : `${config.get('workers')} workers`;
  log.write(
    'notice',
    `Millrace ${VERSION}, commands of Redis ${REDIS_VERSION}, Node ${process.versions.node}, pid ${process.pid}`,
  );
  log.write(
    'notice',
    config.source === '' ? 'No configuration file: defaults and flags' : `Configuration: ${config.source}`,
  );
  log.write('notice', `${config.get('shards')} shards, ${workers}, dispatch ${config.get('dispatch')}, ${memory}`);
}

/** Loads what the directory holds, and writes it as an RDB file. */
async function exportRdb(config: Config): Promise<void> {
  const dir = config.get('dir');
  // A directory that was mistyped must not be made, nor an earlier export be replaced by nothing.
  if (!existsSync(dir)) fail(`there is no directory '${dir}'`);
  if (!holdsData(dir, config)) fail(`the directory '${dir}' holds no data`);
  const log = enterDirectory(config);
  log.level = 'warning';
  // Nothing of its own may be due while it is at it.
  config.set('save', []);
  const node = new Node(config, log, fail);
  try {
    await node.persistence.open();
    const { keys, fileBytes, path } = await node.persistence.saving.exportRdb(config.exportFile);
    await node.close();
    process.stdout.write(`${path}: ${keys} keys, ${fileBytes} bytes\n`);
  } catch (error) {
    fail((error as Error).message);
  }
  process.exit(0);
}

function holdsData(dir: string, config: Config): boolean {
  const log = join(dir, config.get('appenddirname'));
  return (
    listSnapshots(realDisk, dir).length > 0 ||
    existsSync(join(dir, config.get('dbfilename'))) ||
    (existsSync(log) && readdirSync(log).some(isOfLog))
  );
}

export async function main(): Promise<void> {
  const config = new Config();
  const action = readCommandLine(config);
  if (action === 'help') {
    process.stdout.write(`Millrace ${VERSION}: a cache that speaks Redis's protocol\n\n${helpText()}`);
    return;
  }
  if (action === 'version') {
    process.stdout.write(`millrace ${VERSION} (node ${process.versions.node})\n`);
    return;
  }
  if (action === 'plan-repair' || action === 'repair') {
    process.exit(repairDirectory(config, action === 'repair', (text) => process.stdout.write(text)));
  }
  if (action === 'export-rdb') return exportRdb(config);
  const idle = idleOptions(config);
  if (idle !== '') fail(idle);
  const log = enterDirectory(config);
  log.level = config.get('loglevel');
  const die = (message: string): never => {
    log.write('warning', `Fatal: ${message}`);
    fail(message);
  };
  // The terminal is gone, or a script means to have the log opened anew: no reason to stop. And nobody opens Node's debugger here.
  for (const signal of ['SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => {});
  process.on('uncaughtException', (error) => die(error.stack ?? String(error)));
  // Whoever read our output has gone away; that is no reason to stop.
  process.stdout.on('error', () => {});
  announce(config, log);
  boundMaxClients(config, log);
  warn(config, log);

  stepBackCompilers();
  rehearse();
  const node = new Node(config, log, die);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => void node.shutdown(`Received ${signal}`));
  }
  try {
    await node.listen();
  } catch (error) {
    die(`cannot listen: ${(error as Error).message.replace(/^listen E\w+: /, '')}`);
  }
  try {
    await node.persistence.open();
  } catch (error) {
    // The threads that load have been ended, too: `exit` comes when everything has.
    if (node.isStopping) return;
    die((error as Error).message);
  }
  const port = config.get('port');
  const where = port === 0 ? 'nowhere (port 0)' : `port ${port} of ${config.get('bind').join(' ')}`;
  log.write('notice', `Ready to accept connections: ${where}`);
}

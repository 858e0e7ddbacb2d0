#!/usr/bin/env node
/** The executable: reads the command line, puts a node together, serves until it is told to stop. */
import './inlining.ts';
import { readFileSync } from 'node:fs';
import { Config, ConfigError, helpText } from './config.ts';
import { Logger } from './log.ts';
import { Node } from './node.ts';

function version(): string {
  // From source the package file is one folder up, from the build two.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version;
    } catch {}
  }
  return 'unknown';
}

function fail(message: string): never {
  process.stderr.write(`millrace: ${message}\n`);
  process.exit(1);
}

async function main(): Promise<void> {
  const config = new Config();
  let action: string;
  try {
    action = config.parseArgs(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    fail(error.message);
  }
  if (action === 'help') {
    process.stdout.write(helpText());
    return;
  }
  if (action === 'version') {
    process.stdout.write(`millrace ${version()} (node ${process.versions.node})\n`);
    return;
  }
  const log = new Logger(config.get('logfile'));
  const node = new Node(config, log, (message) => {
    log.write('warning', message);
    fail(message);
  });
  try {
    await node.listen();
  } catch (error) {
    fail(`cannot listen: ${(error as Error).message}`);
  }
  log.write(
    'notice',
    `Ready to accept connections: port ${config.get('port')}, ${config.get('shards')} shards, ${node.workers.count} workers, dispatch ${config.get('dispatch')}`,
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      log.write('warning', `Received ${signal}, shutting down`);
      node.close();
      process.exit(0);
    });
  }
}

await main();

/**
 * The pauses of a server's event loop, measured inside it and read from outside: INFO's own figure looks every 20 ms and so
 * misses most pauses shorter than that. Loaded into the server's process ahead of it (`node --import`), where it keeps a timer
 * of one millisecond; at SIGUSR2 it writes how late that timer was into a file, and begins anew.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';

const RESOLUTION_MS = 1;
const LOOK_MS = 5;
const TIMEOUT_MS = 10_000;

export interface LoopPauses {
  /** Counts the readings of one server. */
  reading: number;
  p999Ms: number;
  maxMs: number;
}

/** The option for node that makes a server tell of its pauses in this file. */
export function pausesOption(file: string): string {
  const url = new URL(import.meta.url);
  url.searchParams.set('file', file);
  return `--import ${url.href}`;
}

/** Asks the server `pid` for the pauses since it was last asked. */
export async function readPauses(pid: number, file: string): Promise<LoopPauses> {
  const before = parse(file)?.reading ?? 0;
  process.kill(pid, 'SIGUSR2');
  for (let waitedMs = 0; waitedMs < TIMEOUT_MS; waitedMs += LOOK_MS) {
    const pauses = parse(file);
    if (pauses !== undefined && pauses.reading > before) return pauses;
    await sleep(LOOK_MS);
  }
  throw new Error('the server does not tell of its pauses');
}

function parse(file: string): LoopPauses | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as LoopPauses;
  } catch {
    return undefined;
  }
}

function tellPauses(file: string): void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  const lateMs = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
  let reading = 0;
  histogram.enable();
  process.on('SIGUSR2', () => {
    const pauses: LoopPauses = {
      reading: ++reading,
      p999Ms: lateMs(histogram.percentile(99.9)),
      maxMs: histogram.count === 0 ? 0 : lateMs(histogram.max),
    };
    // Whoever reads finds it whole.
    writeFileSync(`${file}.new`, JSON.stringify(pauses));
    renameSync(`${file}.new`, file);
    histogram.reset();
  });
}

// The file's name comes with the import. Threads of a process begin with what it was told to import, too.
const ownFile = new URL(import.meta.url).searchParams.get('file');
if (isMainThread && ownFile !== null) tellPauses(ownFile);

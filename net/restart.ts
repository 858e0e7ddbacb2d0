/**
 * What a process can only be told as it starts. Where it was not, the program starts itself again, as the same process.
 *
 * *Memory in pages of 2 MiB* instead of 4 KiB. A key's bucket and its record lie anywhere in the arenas, so with small pages nearly every
 * lookup also misses the processor's cache of page addresses; with 1 M keys, huge pages made SET 1.17 and GET 1.16 times as fast. What
 * speaks against them elsewhere, that a process which forks copies 2 MiB for each byte written, cannot happen here: nothing forks. They
 * cost resident memory, up to 2 MiB a shard. Where the system gives huge pages only to those who ask (`madvise`), glibc asks for
 * its malloc, and so for the arenas, when GLIBC_TUNABLES says so (glibc manual, "Memory Allocation Tunables"). JavaScript has
 * no other way of asking.
 *
 * *Threads of V8*, which compile and collect garbage for all others: half as many as there are processors. Four on one processor took
 * turns of 4 to 5 ms, one after another, while the thread that serves clients waited.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const MODE_FILE = '/sys/kernel/mm/transparent_hugepage/enabled';
const TUNABLE = 'glibc.malloc.hugetlb';
const POOL_OPTION = '--v8-pool-size';
/** As many as Node takes by itself. */
const POOL_THREADS = 4;

/** Whether the system leaves huge pages to each process. */
function isLeftToUs(): boolean {
  try {
    return readFileSync(MODE_FILE, 'latin1').includes('[madvise]');
  } catch {
    return false;
  }
}

/** The tunables to start again with; undefined when those at hand will do. `glibc.malloc.hugetlb=0` there means: no huge pages. */
function wantedTunables(present = ''): string | undefined {
  if (present.includes(TUNABLE) || !isLeftToUs()) return undefined;
  return `${present === '' ? '' : `${present}:`}${TUNABLE}=1`;
}

/** The options of Node to start again with, likewise. */
function wantedOptions(present: readonly string[], environment = ''): string[] | undefined {
  const threads = Math.max(1, Math.floor(availableParallelism() / 2));
  const isSaid = environment.includes(POOL_OPTION) || present.some((option) => option.startsWith(POOL_OPTION));
  return isSaid || threads >= POOL_THREADS ? undefined : [...present, `${POOL_OPTION}=${threads}`];
}

/** Starts this program again if that is of use; returns where it is not, or where Node cannot do it. Costs 45 ms. Before anything is opened. */
export function restartTuned(): void {
  const { argv0, execPath, execArgv, argv, env, execve } = process;
  if (execve === undefined) return;
  const tunables = wantedTunables(env.GLIBC_TUNABLES);
  const options = wantedOptions(execArgv, env.NODE_OPTIONS);
  if (tunables === undefined && options === undefined) return;
  const environment = { ...env, GLIBC_TUNABLES: tunables ?? env.GLIBC_TUNABLES };
  if (environment.GLIBC_TUNABLES === undefined) delete environment.GLIBC_TUNABLES;
  execve(execPath, [argv0, ...(options ?? execArgv), ...argv.slice(1)], environment as Record<string, string>);
}

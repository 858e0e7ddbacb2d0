/**
 * The background pool: threads for work that takes long and belongs to no shard, such as writing and reading snapshot
 * files. One per node, made on the main thread. One thread is there from the start: to begin one loads and compiles its
 * modules at the priority of those who serve, and where they share a processor that took 0.7 s of the stall at a snapshot's beginning. Others start with a task that
 * finds none idle, and end when they have had nothing to do for a second.
 */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type * as tasks from './task.ts';

/** At start as many load a snapshot as there are processors. Further tasks wait their turn. */
const MAX_THREADS = Math.max(2, availableParallelism());
const IDLE_MS = 1000;

type Tasks = typeof tasks;

export class BackgroundPool {
  private readonly piscina = new Piscina({
    // The entry is a file of its own; from source it is TypeScript, which Node runs as it is.
    filename: fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './task.ts' : './task.js', import.meta.url)),
    minThreads: 1,
    maxThreads: MAX_THREADS,
    idleTimeout: IDLE_MS,
  });

  /** Threads that exist now. */
  get threads(): number {
    return this.piscina.threads.length;
  }

  /** Runs a function of task.ts in a thread; `ports` are handed over to it. Rejects when the thread dies. */
  run<N extends keyof Tasks>(
    name: N,
    task: Parameters<Tasks[N]>[0],
    ports: readonly MessagePort[],
  ): Promise<Awaited<ReturnType<Tasks[N]>>> {
    return this.piscina.run(task, { name, transferList: [...ports] });
  }

  /** Ends the threads after what they are doing. */
  close(): Promise<void> {
    return this.piscina.close();
  }

  /** Ends the threads at once, whatever they are doing. */
  destroy(): Promise<void> {
    return this.piscina.destroy();
  }
}

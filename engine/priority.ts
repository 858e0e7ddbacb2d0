/**
 * Which threads step back where several want the same processor: what runs in the background is in no hurry, and clients are.
 * Linux only, where threads have priorities of their own; elsewhere nothing happens.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/**
 * A tenth of a client's share of a processor that both want. Four compiling threads with a third each (5) took as much as the thread
 * that they compile for; with a thirtieth (15) its code stays slow for longer than they save it.
 */
const NICENESS = 10;

function lower(thread: number): void {
  try {
    setPriority(thread, NICENESS);
  } catch {
    // Not allowed, or gone: it runs as the others do.
  }
}

/** This thread steps back. */
export function stepBack(): void {
  try {
    const thread = /task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1];
    if (thread !== undefined) lower(Number(thread));
  } catch {
    // No such file.
  }
}

/**
 * All threads but the main one step back. Called before the process has any of its own: V8's, that is, which compile
 * and collect garbage for all. Where a new kind of load makes much code hot at once, four of them took four fifths of a processor
 * from the thread that waited for them.
 */
export function stepBackCompilers(): void {
  try {
    for (const thread of readdirSync('/proc/self/task')) {
      if (Number(thread) !== process.pid) lower(Number(thread));
    }
  } catch {
    // No such directory.
  }
}

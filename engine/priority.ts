/**
 * Which threads step back where several want the same processor: what runs in the background is in no hurry, and clients are.
 * Linux only, where threads have priorities of their own; elsewhere nothing happens.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/** A tenth of a client's share of a processor that both want. */
const BACKGROUND_NICENESS = 10;
/** A third. Code that is compiled late runs slowly for long, so that these must not wait either. */
const COMPILER_NICENESS = 5;

function lower(thread: number, niceness: number): void {
  try {
    setPriority(thread, niceness);
  } catch {
    // Not allowed, or gone: it runs as the others do.
  }
}

/** This thread steps back. */
export function stepBack(): void {
  try {
    const thread = /task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1];
    if (thread !== undefined) lower(Number(thread), BACKGROUND_NICENESS);
  } catch {
    // No such file.
  }
}

/**
 * All threads but the main one step back a little. Called before the process has any of its own: V8's, that is, which compile
 * and collect garbage for all. There are four of them, and where a new kind of load makes much code hot at once they took four
 * fifths of a processor from the thread that waited for them.
 */
export function stepBackCompilers(): void {
  try {
    for (const thread of readdirSync('/proc/self/task')) {
      if (Number(thread) !== process.pid) lower(Number(thread), COMPILER_NICENESS);
    }
  } catch {
    // No such directory.
  }
}

/**
 * Lets this thread step back where threads want the same processor: what runs in the background is in no hurry, and clients
 * are. Linux only, where threads have priorities of their own and say which they are; elsewhere nothing happens.
 */
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

const BACKGROUND_NICENESS = 10;

export function stepBack(): void {
  try {
    const thread = /task\/(\d+)$/.exec(readlinkSync('/proc/thread-self'))?.[1];
    if (thread !== undefined) setPriority(Number(thread), BACKGROUND_NICENESS);
  } catch {
    // No such file, or not allowed: it runs as the others do.
  }
}

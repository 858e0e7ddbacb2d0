/**
 * Keeps a second process out of a data directory. Called once at start, before anything in the directory is read; real
 * files, a few system calls.
 *
 * Node has no flock, so the lock is a symbolic link that names its holder in place of a target: it appears at once and whole,
 * only one of several that try gets the name, and it needs no block of a disk, so that a node can start on a full one. A holder that died (kill -9, loss of power) leaves it behind, so whoever comes
 * next looks whether the holder lives: process number, the process's start time, and the boot it belongs to, so that a
 * number that was given to somebody else does not count. Without /proc the number alone has to do.
 *
 * Taking over must not remove a lock: between looking and removing it could have become somebody else's. So locks are
 * numbered, and the highest counts: who finds lock n dead makes lock n + 1, which again only one can. Released locks stay,
 * marked as such, since the number must not go back; older ones go.
 *
 * ```
 * millrace.lock.3 -> "4711 89342 6f1c…" = process, its start in ticks since boot ("-" unknown), the boot ("-" unknown)
 *                    "released"
 * ```
 *
 * Limit: processes in containers of their own, which do not see each other's numbers, cannot be told from dead ones.
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { LogError } from './errors.ts';

const NAME = /^millrace\.lock\.(\d+)$/;
const DRAFT = /^millrace\.lock\.(\d+)\.tmp$/;
const RELEASED = 'released';
/** Everybody who loses a number may try the next one; so many cannot die in turn while one starts. */
const ATTEMPTS = 100;

export interface DirectoryLock {
  release(): void;
}

/** Holds the directory until `release`; a LogError LOCKED when another process does. */
export function lockDirectory(directory: string): DirectoryLock {
  try {
    mkdirSync(directory, { recursive: true });
    return acquire(directory);
  } catch (error) {
    if (error instanceof LogError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const known = code === 'ENOSPC' ? 'NO_SPACE' : code === 'EROFS' ? 'READ_ONLY' : code === 'EACCES' ? 'DENIED' : 'IO';
    throw new LogError(known, `cannot lock the directory ${directory}: ${message}`, directory, -1, error);
  }
}

function acquire(directory: string): DirectoryLock {
  const text = holderText(process.pid);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const highest = highestLock(directory);
    if (highest > 0) refuseIfHeld(directory, highest);
    const number = highest + 1;
    if (!makeNew(lockPath(directory, number), text)) continue;
    // A slow starter can have taken a number that others took and cleared long ago.
    if (highestLock(directory) === number) {
      clearBelow(directory, number);
      clearDrafts(directory);
      return { release: () => release(directory, number) };
    }
    unlinkSync(lockPath(directory, number));
  }
  throw new LogError('LOCKED', `cannot lock the directory ${directory}: too many others try`, directory);
}

function refuseIfHeld(directory: string, number: number): void {
  const path = lockPath(directory, number);
  let text: string;
  try {
    text = lockText(path);
  } catch (error) {
    // Cleared by who took a higher number: the next attempt sees that one.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (text === RELEASED) return;
  const pid = Number(text.split(' ')[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0) return;
  if (!isAlive(pid, text)) return;
  throw new LogError('LOCKED', `the directory ${directory} is in use by process ${pid} (${path})`, path);
}

function isAlive(pid: number, text: string): boolean {
  if (hasEnded(pid)) return false;
  const now = holderText(pid);
  const isKnown = !now.endsWith(' -') && !text.includes(' -');
  if (isKnown) return now === text;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Whether nothing is left of it but an entry for its parent, which may be slow to look: no thread of it can write any more. */
function hasEnded(pid: number): boolean {
  const stat = readOr(`/proc/${pid}/stat`);
  if (stat[stat.lastIndexOf(')') + 2] !== 'Z') return false;
  try {
    return readdirSync(`/proc/${pid}/task`).length === 1;
  } catch {
    return true;
  }
}

/** What a lock says. One that is a file with the same text was left by a version before this. */
function lockText(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    return readFileSync(path, 'latin1').trimEnd();
  }
}

/** What the lock of a process says; with "-" for what cannot be known. */
function holderText(pid: number): string {
  const boot = readOr('/proc/sys/kernel/random/boot_id').trim();
  // The name in parentheses may have spaces and parentheses itself; the start time is the 20th field behind it.
  const stat = readOr(`/proc/${pid}/stat`);
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `${pid} ${start ?? '-'} ${boot === '' ? '-' : boot}`;
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** False when there is one of that name. */
function makeNew(path: string, text: string): boolean {
  try {
    symlinkSync(text, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function lockPath(directory: string, number: number): string {
  return `${directory}/millrace.lock.${number}`;
}

function lockNumbers(directory: string): number[] {
  return readdirSync(directory).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
}

function highestLock(directory: string): number {
  return Math.max(0, ...lockNumbers(directory));
}

function clearBelow(directory: string, number: number): void {
  for (const old of lockNumbers(directory)) {
    if (old >= number) continue;
    try {
      unlinkSync(lockPath(directory, old));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** What processes that were killed in the middle of a release have left, and starters of versions before this. */
function clearDrafts(directory: string): void {
  for (const name of readdirSync(directory)) {
    const pid = Number(DRAFT.exec(name)?.[1] ?? process.pid);
    if (pid !== process.pid && readOr(`/proc/${pid}/stat`) === '') rmSync(`${directory}/${name}`, { force: true });
  }
}

/** By a rename, so that nobody sees it half written. A directory that went away in the meantime needs no release. */
function release(directory: string, number: number): void {
  const draft = `${directory}/millrace.lock.${process.pid}.tmp`;
  try {
    rmSync(draft, { force: true });
    symlinkSync(RELEASED, draft);
    renameSync(draft, lockPath(directory, number));
  } catch {
    // The lock names a process that ends now: whoever comes next sees that.
  }
}

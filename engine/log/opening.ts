/**
 * Opening the log behind what is loaded already: which of its entries the data set still lacks, and where the next one goes.
 * The thread that owns the log calls it (thread.ts), and blocks while it reads; over any `Disk`.
 *
 * A log that was begun anew (CONFIG SET appendonly yes) starts with a record of type TYPE_RESTART, behind a gap: what comes
 * before it is in the snapshot that was to follow, and only there. If that one never came to its end (base.ts), its entries mean nothing: their
 * segments are put aside before anything new is written. If they stayed, what comes behind them would be passed over with
 * them at the next start, or they would be taken for entries that a later snapshot lacks, since indexes are given again.
 */
import { hasBase, markBase, unmarkBase } from './base.ts';
import type { Disk } from './disk.ts';
import { LogError } from './errors.ts';
import type { LogIndex, LogRecord } from './log.ts';
import { TYPE_RESTART } from './record.ts';
import { type LogScan, openLog, type TornTail } from './recover.ts';
import { listSegments, putAside } from './segment.ts';
import type { LogOptions, SegmentLog } from './segmentlog.ts';

/** The one group there is. */
export const GROUP = 0;

export interface Opened {
  log: SegmentLog;
  /** The last entry that the data set contains once it has all that was taken: the next one follows it. */
  lastIndex: LogIndex;
  /** Whether entries were passed over, so that a snapshot is wanted soon. */
  hasGap: boolean;
  /** What an operator should know. */
  notes: string[];
}

/**
 * Opens the log of a data set that has all up to `afterIndex`; `take` gets the entries behind it, in order. With `restarts`
 * the log begins anew: what is on disk is checked and not taken.
 */
export function openBehind(
  disk: Disk,
  directory: string,
  options: LogOptions,
  afterIndex: LogIndex,
  restarts: boolean,
  take: (record: LogRecord, scan: LogScan) => void,
): Opened {
  const scan = openLog(disk, directory, options);
  if (!restarts && isGone(disk, directory)) {
    scan.stop();
    throw gone(directory);
  }
  let last = afterIndex;
  for (let record = scan.next(); record !== undefined; record = scan.next()) {
    if (restarts || record.index <= last) continue;
    if (record.index > last + 1) {
      if (!isBegunAnew(disk, directory, record)) throw missing(directory, last, record.index, false);
      const note = gapNote(last, record.index);
      const segment = scan.begunSegment;
      scan.stop();
      // A log that begins anew has just been opened, and so begins a segment.
      if (segment === 0) throw new Error('log: it begins anew in the middle of a segment');
      putAside(disk, directory, segment);
      const rest = openBehind(disk, directory, options, last, false, take);
      return { ...rest, hasGap: true, notes: [note, ...rest.notes] };
    }
    last = record.index;
    take(record, scan);
  }
  const log = scan.finish();
  const notes: string[] = [];
  if (scan.torn !== undefined) notes.push(tornNote(scan.torn));
  if (restarts) unmarkBase(disk, directory);
  if (log.lastIndex(GROUP) !== last) {
    log.restartAt(GROUP, last + 1);
    // What it begins behind is loaded already, and so was saved.
    if (!restarts && last > 0) markBase(disk, directory);
  }
  return { log, lastIndex: last, hasGap: false, notes };
}

/**
 * Why a start behind `afterIndex` would be refused although what there is of the log is whole; undefined when it would not.
 * For `--repair`: reads all of it and changes nothing. Throws LogError at damage.
 */
export function findMissing(
  disk: Disk,
  directory: string,
  afterIndex: LogIndex,
  isReplica: boolean,
): LogError | undefined {
  if (isGone(disk, directory)) return gone(directory);
  const scan = openLog(disk, directory);
  try {
    let last = afterIndex;
    for (let record = scan.next(); record !== undefined; record = scan.next()) {
      if (record.index > last + 1) {
        // A replica's snapshot is there before its log begins anew.
        const isMissing = isReplica || !isBegunAnew(disk, directory, record);
        return isMissing ? missing(directory, last, record.index, isReplica) : undefined;
      }
      last = Math.max(last, record.index);
    }
    return undefined;
  } finally {
    scan.stop();
  }
}

/** Whether there was a log, and a snapshot that it follows, and no file of it is left. */
function isGone(disk: Disk, directory: string): boolean {
  return hasBase(disk, directory) && listSegments(disk, directory).length === 0;
}

/** Whether a record behind a gap begins a log whose snapshot never came to its end. */
function isBegunAnew(disk: Disk, directory: string, record: LogRecord): boolean {
  return record.type === TYPE_RESTART && !hasBase(disk, directory);
}

function gone(directory: string): LogError {
  const text =
    `all files of the log are gone from ${directory}, which had some: what was written after the last snapshot would be ` +
    'lost. Nothing was changed. Put them back, or move the directory out of the way to start without what they held';
  return new LogError('CORRUPT', text, directory);
}

function missing(directory: string, last: LogIndex, next: LogIndex, isReplica: boolean): LogError {
  const instead = isReplica
    ? `move ${directory} away and let the node join again`
    : 'move the log out of the way to start without what it holds';
  const text =
    `the log goes from entry ${last} to entry ${next}: the snapshot that covers what is between is missing, or the files ` +
    `of the log that had it are. Nothing was changed. Put back what is missing, or ${instead}`;
  return new LogError('CORRUPT', text, directory);
}

export function tornNote(torn: TornTail): string {
  return `the log ended in the middle of a write: ${torn.bytes} bytes at ${torn.offset} of ${torn.file} were cut off. A write that was interrupted had not been acknowledged as durable`;
}

function gapNote(last: LogIndex, next: LogIndex): string {
  return (
    `the log was begun anew at entry ${next} and the snapshot that belongs to it never came to its end: ` +
    `what was written after entry ${last} without a log is lost, and what the log has from entry ${next} on cannot be used: it stays beside the log as *.unused`
  );
}

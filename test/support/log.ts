/** Short ways to read a log from its beginning and to put something into it. */
import type { Disk } from '../../engine/log/disk.ts';
import { type LogScan, openLog, type TornTail } from '../../engine/log/recover.ts';
import type { LogOptions, SegmentLog } from '../../engine/log/segmentlog.ts';

/** What a log found on the disk. */
export interface Found {
  log: SegmentLog;
  torn: TornTail | undefined;
  /** Every record in order, those that were replaced later too. */
  records: { group: number; index: number; term: number; payload: string }[];
}

/** Reads a log to its end and opens it. */
export function reopen(disk: Disk, directory: string, options?: LogOptions): Found {
  const scan = openLog(disk, directory, options);
  const records = readAll(scan);
  return { log: scan.finish(), torn: scan.torn, records };
}

export function readAll(scan: LogScan): Found['records'] {
  const records: Found['records'] = [];
  for (let record = scan.next(); record !== undefined; record = scan.next()) {
    const { group, index, term, bytes, start, length } = record;
    const payload = Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
    records.push({ group, index, term, payload });
  }
  return records;
}

/** The entries [from, to) of a group as payloads. */
export function payloads(log: SegmentLog, group: number, from: number, to: number): string[] {
  const found: string[] = [];
  log.read(group, from, to, ({ bytes, start, length }) => {
    found.push(Buffer.from(bytes.subarray(start, start + length)).toString('latin1'));
    return true;
  });
  return found;
}

export function put(log: SegmentLog, index: number, payload: string, group = 0, term = 1): void {
  const bytes = Buffer.from(payload, 'latin1');
  log.append(group, term, index, bytes, 0, bytes.length);
}

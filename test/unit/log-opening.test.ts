/** What of a log follows a snapshot: skipped, taken, or put aside when the snapshot that it began behind is missing. */
import { expect, it } from 'vitest';
import { markBase } from '../../engine/log/base.ts';
import type { LogError } from '../../engine/log/errors.ts';
import { findMissing, GROUP, type Opened, openBehind } from '../../engine/log/opening.ts';
import { Random } from '../../engine/random.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { put } from '../support/log.ts';

const DIRECTORY = '/data/log';
const OPTIONS = { segmentBytes: 8192, reserveBytes: 1024 };

function open(disk: SimDisk, after: number, restarts = false): Opened & { taken: string[] } {
  const taken: string[] = [];
  const opened = openBehind(disk, DIRECTORY, OPTIONS, after, restarts, ({ bytes, start, length }) =>
    taken.push(Buffer.from(bytes.subarray(start, start + length)).toString('latin1')),
  );
  return { ...opened, taken };
}

/** Opens the log behind `after`, appends entries from there on, and closes it. */
function append(disk: SimDisk, after: number, restarts: boolean, ...payloads: string[]): void {
  const { log, lastIndex } = open(disk, after, restarts);
  for (let i = 0; i < payloads.length; i++) put(log, lastIndex + 1 + i, payloads[i], GROUP, 0);
  log.close();
}

function unused(disk: SimDisk): string[] {
  return disk.list(DIRECTORY).filter((name) => name.endsWith('.unused'));
}

it('takes what follows a snapshot', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one', 'two', 'three');
  expect(open(disk, 1)).toMatchObject({ taken: ['two', 'three'], lastIndex: 3, hasGap: false, notes: [] });
});

it('goes on behind a snapshot that has more than the log', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one');
  append(disk, 5, false, 'six');
  expect(open(disk, 5)).toMatchObject({ taken: ['six'], lastIndex: 6, hasGap: false });
});

it('keeps what comes behind entries that no snapshot explains', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one', 'two');
  append(disk, 4, true, 'void', 'void');
  const first = open(disk, 0);
  expect(first).toMatchObject({ taken: ['one', 'two'], lastIndex: 2, hasGap: true });
  expect(first.notes).toEqual([expect.stringContaining('begun anew at entry 5')]);
  put(first.log, 3, 'three', GROUP, 0);
  first.log.close();
  expect(unused(disk)).toHaveLength(1);
  expect(open(disk, 0)).toMatchObject({ taken: ['one', 'two', 'three'], lastIndex: 3, hasGap: false });
});

it('does not take such entries for what follows a later snapshot', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 4, true, 'void', 'void');
  append(disk, 0, false, 'one');
  expect(open(disk, 5)).toMatchObject({ taken: [], lastIndex: 5, hasGap: false });
});

it('keeps what was before a new beginning until that is covered', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one', 'two');
  const { log } = open(disk, 4, true);
  put(log, 5, 'five', GROUP, 0);
  log.dropThrough(GROUP, 1);
  log.close();
  expect(open(disk, 1)).toMatchObject({ taken: ['two'], lastIndex: 2, hasGap: true });
});

it('refuses a log whose snapshot was there and is gone, until another log begins', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one');
  append(disk, 4, true, 'five');
  markBase(disk, DIRECTORY);
  expect(() => open(disk, 1)).toThrow(/entry 1 to entry 5: the snapshot .* or the files of the log that had it/);
  expect(open(disk, 4)).toMatchObject({ taken: ['five'], lastIndex: 5 });
  append(disk, 8, true, 'void');
  expect(open(disk, 5)).toMatchObject({ taken: [], lastIndex: 5, hasGap: true });
});

it('refuses a log that began behind what was loaded, when that is gone', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 5, false, 'six');
  expect(() => open(disk, 0)).toThrow(/entry 0 to entry 6: the snapshot/);
});

it('keeps each log that was put aside', () => {
  const disk = new SimDisk(new Random(1));
  for (let i = 0; i < 3; i++) {
    append(disk, 4, true, 'void');
    open(disk, 0).log.close();
  }
  expect(unused(disk)).toHaveLength(3);
});

it('refuses a log that lacks entries', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, ...Array.from({ length: 40 }, (_, i) => `${i}`.repeat(200)));
  const { log } = open(disk, 0);
  log.dropThrough(GROUP, 30);
  log.close();
  let code = '';
  try {
    open(disk, 2);
  } catch (error) {
    ({ code } = error as LogError);
  }
  expect(code).toBe('CORRUPT');
});

it('is refused when all of it has been removed since its snapshot was saved', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one', 'two');
  const [name] = disk.list(DIRECTORY).filter((each) => each.endsWith('.log'));
  markBase(disk, DIRECTORY);
  disk.unlink(`${DIRECTORY}/${name}`);
  for (const after of [0, 1, 2]) {
    expect(() => open(disk, after)).toThrow(expect.objectContaining({ message: expect.stringContaining('are gone') }));
  }
  // CONFIG SET appendonly yes begins another.
  expect(open(disk, 2, true)).toMatchObject({ lastIndex: 2, taken: [] });
});

/** What is said without opening it, and that it changes nothing. */
function missingBehind(disk: SimDisk, after: number, isReplica = false): string {
  const contents = () => disk.list(DIRECTORY).map((name) => [name, disk.contents(`${DIRECTORY}/${name}`).slice()]);
  const before = contents();
  const error = findMissing(disk, DIRECTORY, after, isReplica);
  expect(contents()).toEqual(before);
  return error?.message ?? '';
}

it('is known to be refused before it is opened', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, ...Array.from({ length: 40 }, (_, i) => `${i}`.repeat(400)));
  expect(missingBehind(disk, 0)).toBe('');
  const segments = disk.list(DIRECTORY).filter((each) => each.endsWith('.log'));
  disk.unlink(`${DIRECTORY}/${segments[0]}`);
  expect(missingBehind(disk, 0)).toContain('the log goes from entry 0 to entry ');
  expect(missingBehind(disk, 40)).toBe('');
  markBase(disk, DIRECTORY);
  for (const name of segments.slice(1)) disk.unlink(`${DIRECTORY}/${name}`);
  expect(missingBehind(disk, 40)).toContain('are gone');
});

it('is not known to be refused where it is put aside, but on a replica', () => {
  const disk = new SimDisk(new Random(1));
  append(disk, 0, false, 'one', 'two');
  append(disk, 4, true, 'five');
  expect(missingBehind(disk, 2)).toBe('');
  expect(missingBehind(disk, 2, true)).toContain('from entry 2 to entry 5');
  markBase(disk, DIRECTORY);
  expect(missingBehind(disk, 2)).toContain('from entry 2 to entry 5');
  expect(missingBehind(disk, 4)).toBe('');
});

/**
 * Repair of a damaged log: `planRepair` says what is damaged and what would be lost, `applyRepair` does it. For an
 * operator, while no server holds the directory; blocks, and reads everything. Nothing is ever deleted: what does not
 * belong to the log any more stays beside it as `*.damaged`.
 *
 * Entries mean something only after those before them, so what can be kept is the log up to the damage. But when a snapshot
 * covers everything before a later segment, and from that one on all is whole, the damaged part is not needed at all. Only
 * then nothing is lost for certain: a file that is empty or cut says nothing about the entries that it had.
 *
 * `applyRepair` may be interrupted anywhere: files are moved one by one, such that a new plan finds the same damage or
 * less, and the damaged segment is replaced by its good beginning in one rename, after a copy of the whole of it is durable.
 */
import { unmarkBase } from './base.ts';
import { type Disk, type DiskFile, unlinkIfThere, writeAll } from './disk.ts';
import { fromDisk, LogError } from './errors.ts';
import type { LogIndex } from './log.ts';
import { emptyRecord } from './record.ts';
import { type Damage, LogScan, type TornTail } from './recover.ts';
import { SegmentScanner } from './scanner.ts';
import { draftPath, listSegments, readHeader, segmentPath, segmentSeed, writeSeal } from './segment.ts';
import { DEFAULT_LOG_OPTIONS } from './segmentlog.ts';
import { FileWindow } from './window.ts';

const PIECE_BYTES = 4 * 1024 * 1024;

/** Entries of a group that the log has, or had, and would not have after the repair. */
export interface LostEntries {
  group: number;
  from: LogIndex;
  to: LogIndex;
}

export interface RepairPlan {
  directory: string;
  /** undefined: there is nothing to repair. */
  damage: { file: string; offset: number; what: string } | undefined;
  /** An unfinished write at the end; no damage, and cut at any start. */
  torn: TornTail | undefined;
  /** The segment of which only the beginning is kept. */
  cut: { segment: number; offset: number } | undefined;
  /** Segments put aside, in this order. */
  aside: number[];
  lost: LostEntries[];
  /** Nothing is lost: a snapshot has all that is put aside. */
  isCovered: boolean;
  /** Where the log may have gone on, or did, and nothing can be read: what was there is known to nobody. */
  unknown: { file: string; offset: number } | undefined;
  /** Good records among what is put aside, and all bytes of it. */
  lostRecords: number;
  lostBytes: number;
  /** Of those, bytes in which no record could be read: they may have held entries of which nothing is known. */
  unreadableBytes: number;
  /** All this for people. */
  text: string;
}

/** `covered`: up to which entry of each group there is a whole snapshot. */
export function planRepair(
  disk: Disk,
  directory: string,
  covered: ReadonlyMap<number, LogIndex> = new Map(),
): RepairPlan {
  const scan = new LogScan(disk, directory, DEFAULT_LOG_OPTIONS);
  const damage = readAll(scan);
  const plan: RepairPlan = {
    directory,
    damage: undefined,
    torn: scan.torn,
    cut: undefined,
    aside: [],
    lost: [],
    isCovered: false,
    unknown: undefined,
    lostRecords: 0,
    lostBytes: 0,
    unreadableBytes: 0,
    text: '',
  };
  if (damage !== undefined) {
    const { file, offset, what } = damage.error;
    plan.damage = { file, offset, what };
    const segments = listSegments(disk, directory);
    const later = coveredFrom(disk, directory, segments, damage, covered);
    if (later !== undefined) {
      plan.aside = segments.filter((segment) => segment < later);
      plan.isCovered = true;
    } else {
      if (damage.keptBytes > 0) plan.cut = { segment: damage.segment, offset: damage.keptBytes };
      // From the newest on: what is left is always the beginning.
      plan.aside = segments.filter((segment) => segment > damage.segment || plan.cut === undefined);
      plan.aside = plan.aside.filter((segment) => segment >= damage.segment).reverse();
      new Survey(disk, directory, plan, scan.lastIndexes()).run();
    }
  }
  plan.text = describe(plan);
  return plan;
}

function readAll(scan: LogScan): Damage | undefined {
  try {
    while (scan.next() !== undefined);
  } catch (error) {
    if (scan.damage === undefined) throw error;
  } finally {
    scan.stop();
  }
  return scan.damage;
}

/** The first segment behind the damage from which on all is whole, and before which a snapshot has everything. */
function coveredFrom(
  disk: Disk,
  directory: string,
  segments: readonly number[],
  damage: Damage,
  covered: ReadonlyMap<number, LogIndex>,
): number | undefined {
  // The segment before which one is missing is itself not known to be damaged.
  const isMissing = damage.error.file !== segmentPath(directory, damage.segment);
  for (const segment of segments) {
    if (segment < damage.segment || (segment === damage.segment && !isMissing)) continue;
    try {
      const file = disk.open(segmentPath(directory, segment), 'read');
      const { base } = readHeader(file, directory, segment);
      file.close();
      if (base.some(({ group, lastIndex }) => lastIndex > (covered.get(group) ?? 0))) return undefined;
    } catch (error) {
      if (error instanceof LogError && error.code === 'CORRUPT') continue;
      throw fromDisk(error);
    }
    if (readAll(new LogScan(disk, directory, DEFAULT_LOG_OPTIONS, segment)) === undefined) return segment;
  }
  return undefined;
}

/** Looks through what would be put aside for records that can still be read. */
class Survey {
  private readonly disk: Disk;
  private readonly directory: string;
  private readonly plan: RepairPlan;
  private readonly kept: ReadonlyMap<number, LogIndex>;
  private readonly lost = new Map<number, LostEntries>();
  private readonly window = new FileWindow(PIECE_BYTES);
  private readonly record = emptyRecord();

  constructor(disk: Disk, directory: string, plan: RepairPlan, kept: ReadonlyMap<number, LogIndex>) {
    this.disk = disk;
    this.directory = directory;
    this.plan = plan;
    this.kept = kept;
  }

  run(): void {
    const { plan } = this;
    if (plan.cut !== undefined) this.look(plan.cut.segment, plan.cut.offset);
    for (const segment of plan.aside.toReversed()) this.look(segment, 0);
    plan.lost = [...this.lost.values()].filter(({ from, to }) => from <= to).sort((a, b) => a.group - b.group);
  }

  private look(segment: number, from: number): void {
    const { plan } = this;
    const path = segmentPath(this.directory, segment);
    let scanner: SegmentScanner;
    try {
      scanner = new SegmentScanner(this.disk, this.directory, segment, this.window, 'read');
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== 'CORRUPT') throw error;
      const file = this.disk.open(path, 'read');
      const bytes = file.size();
      file.close();
      plan.unknown = { file: path, offset: 0 };
      plan.lostBytes += bytes;
      plan.unreadableBytes += bytes;
      return;
    }
    // Records of segments before this one that cannot be read show here.
    for (const { group, lastIndex } of scanner.header.base) if (from === 0) this.note(group, lastIndex, false);
    if (from > 0) scanner.offset = from;
    for (;;) {
      const before = scanner.offset;
      while (scanner.next(this.record)) {
        plan.lostRecords++;
        this.note(this.record.group, this.record.index, true);
      }
      plan.lostBytes += scanner.offset - before;
      const next = scanner.findRecord(scanner.offset + 8, -1);
      const end = next === 0 ? scanner.offset + scanner.tailBytes() : next;
      plan.lostBytes += end - scanner.offset;
      plan.unreadableBytes += end - scanner.offset;
      if (next === 0) break;
      scanner.offset = next;
    }
    // That of the last one stays: what others lack at their end shows in the header of the next.
    const { header, offset } = scanner;
    const isEndKnown = header.end === 0 || header.end === offset;
    plan.unknown = isEndKnown ? undefined : { file: path, offset };
    scanner.close();
  }

  /** The log had this entry of the group; `isHere`: its record is among what would go. */
  private note(group: number, index: LogIndex, isHere: boolean): void {
    let lost = this.lost.get(group);
    if (lost === undefined) {
      lost = { group, from: (this.kept.get(group) ?? 0) + 1, to: 0 };
      this.lost.set(group, lost);
    }
    lost.to = Math.max(lost.to, index);
    // Where a replacement goes, what it replaced remains: the entry as it was meant is lost.
    if (isHere) lost.from = Math.min(lost.from, index);
  }
}

function describe(plan: RepairPlan): string {
  if (plan.damage === undefined) {
    const torn = plan.torn;
    if (torn === undefined) return `The log in ${plan.directory} is whole: there is nothing to repair.\n`;
    return (
      `The log in ${plan.directory} is whole, but for an unfinished write at its end (${torn.bytes} bytes at offset ` +
      `${torn.offset} of ${torn.file}), which the next start cuts off. There is nothing to repair.\n`
    );
  }
  const { file, offset, what } = plan.damage;
  const lines = [`The log is damaged: ${what}, in ${file} at offset ${offset}.`, 'What the repair would do:'];
  if (plan.cut !== undefined) {
    lines.push(
      `- keep the first ${plan.cut.offset} bytes of ${segmentPath(plan.directory, plan.cut.segment)}; the whole of it stays beside it as *.damaged`,
    );
  }
  for (const segment of plan.aside) lines.push(`- put aside ${segmentPath(plan.directory, segment)} as *.damaged`);
  lines.push('What would be lost:', ...describeLoss(plan));
  return `${lines.join('\n')}\n`;
}

function describeLoss({ isCovered, lost, unknown, lostRecords, lostBytes, unreadableBytes }: RepairPlan): string[] {
  if (isCovered) return ['- nothing: a snapshot covers all of it'];
  const lines = lost.map(({ group, from, to }) => `- entries ${from} to ${to} of group ${group}`);
  if (unknown !== undefined) {
    const { file, offset } = unknown;
    lines.push(
      `- unknown: what the log had behind offset ${offset} of ${file}, if anything, is missing or cannot be read`,
    );
  }
  if (lostBytes > 0) {
    lines.push(
      `- in all ${lostRecords} records that can still be read, and ${unreadableBytes} of ${lostBytes} bytes that cannot`,
    );
  }
  return lines.length > 0 ? lines : ['- no entry'];
}

export function applyRepair(disk: Disk, plan: RepairPlan): void {
  const { directory, aside } = plan;
  // If nothing is left of the log the next start begins one behind the snapshot. Before the rest: interrupted it is still damage.
  if (aside.length > 0 && aside.length === listSegments(disk, directory).length) unmarkBase(disk, directory);
  try {
    for (const segment of aside) {
      disk.rename(segmentPath(directory, segment), freeName(disk, directory, segment));
      disk.syncDirectory(directory);
    }
    if (plan.cut !== undefined) cut(disk, directory, plan.cut.segment, plan.cut.offset);
  } catch (error) {
    throw fromDisk(error);
  }
}

function freeName(disk: Disk, directory: string, segment: number): string {
  const path = segmentPath(directory, segment);
  const names = new Set(disk.list(directory).map((name) => `${directory}/${name}`));
  let name = `${path}.damaged`;
  for (let i = 2; names.has(name); i++) name = `${path}.${i}.damaged`;
  return name;
}

/** Keeps a copy of a segment, then ends it at `offset`. */
function cut(disk: Disk, directory: string, segment: number, offset: number): void {
  const path = segmentPath(directory, segment);
  const draft = draftPath(directory);
  const file = disk.open(path, 'read');
  const { log } = readHeader(file, directory, segment);
  copy(disk, file, draft, file.size()).close();
  disk.rename(draft, freeName(disk, directory, segment));
  disk.syncDirectory(directory);
  const beginning = copy(disk, file, draft, offset);
  writeSeal(beginning, segmentSeed(log, segment), offset);
  beginning.sync();
  beginning.close();
  file.close();
  disk.rename(draft, path);
  disk.syncDirectory(directory);
}

/** A new file with the first `length` bytes of another, synced. */
function copy(disk: Disk, from: DiskFile, to: string, length: number): DiskFile {
  unlinkIfThere(disk, to);
  const file = disk.create(to);
  const piece = new Uint8Array(PIECE_BYTES);
  for (let offset = 0; offset < length; ) {
    const count = from.read(piece, 0, Math.min(piece.length, length - offset), offset);
    if (count === 0) break;
    writeAll(file, piece, 0, count, offset);
    offset += count;
  }
  file.sync();
  return file;
}

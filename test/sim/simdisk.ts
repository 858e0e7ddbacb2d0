/**
 * A disk in memory that loses what a real one may lose. Each file keeps apart what is synced and what is only written,
 * each directory which names are synced; `crash` throws away what a loss of power could. Every call is one *step*;
 * `failAt` makes a step fail. Paths are plain names, directories exist as soon as they are named.
 */
import { dirname } from 'node:path';
import { type Disk, DiskError, type DiskFile } from '../../engine/log/disk.ts';
import type { Random } from '../../engine/random.ts';

export type Fault =
  /** The power goes: the step may or may not have happened, everything afterwards throws PowerLoss until `crash`. */
  | 'crash'
  | 'ENOSPC'
  | 'EROFS'
  | 'EIO'
  /** A write takes only a part. */
  | 'short'
  /** The call takes `slowMs`. */
  | 'slow';

/** What is left by `crash`: only what was synced; that and any part of the rest; everything (the process died, the system lives). */
export type Loss = 'unsynced' | 'torn' | 'nothing';

const SECTOR_BYTES = 512;

export class PowerLoss extends Error {
  override readonly name = 'PowerLoss';
}

/** Bytes of a file that grow as needed. */
class Content {
  bytes = new Uint8Array(0);
  size = 0;

  resize(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.bytes.length * 2, 4096));
      grown.set(this.bytes.subarray(0, this.size));
      this.bytes = grown;
    }
    if (size < this.size) this.bytes.fill(0, size, this.size);
    this.size = size;
  }

  write(from: Uint8Array, offset: number): void {
    if (offset + from.length > this.size) this.resize(offset + from.length);
    this.bytes.set(from, offset);
  }

  copy(): Content {
    const copy = new Content();
    copy.write(this.bytes.subarray(0, this.size), 0);
    return copy;
  }
}

/** A change of a file that is not synced: bytes at an offset, or (bytes null) a new size. */
interface Change {
  offset: number;
  bytes: Uint8Array | null;
}

class Inode {
  current = new Content();
  durable = new Content();
  pending: Change[] = [];
  /** Changes whose sync failed: the system believes them clean, so no later sync writes them. */
  lost: Change[] = [];

  apply(to: Content, change: Change): void {
    if (change.bytes === null) to.resize(change.offset);
    else to.write(change.bytes, change.offset);
  }
}

/** A change of names that is not synced. */
interface Renaming {
  directory: string;
  removed: string;
  added: string;
  inode: Inode | undefined;
}

export class SimDisk implements Disk {
  /** Calls made so far. */
  steps = 0;
  /** Faults that have struck. */
  fired = 0;
  slowMs = 5;
  /** Bytes of all files together that there is room for. */
  capacityBytes = Number.POSITIVE_INFINITY;
  private readonly random: Random;
  private readonly faults = new Map<number, Fault>();
  private names = new Map<string, Inode>();
  private durableNames = new Map<string, Inode>();
  private pendingNames: Renaming[] = [];
  private isDown = false;
  private life = 0;

  constructor(random: Random) {
    this.random = random;
  }

  /** The steps [step, step + times) fail so, where the fault makes sense for the call; steps count from 1. */
  failAt(step: number, fault: Fault, times = 1): void {
    for (let i = 0; i < times; i++) this.faults.set(step + i, fault);
  }

  clearFaults(): void {
    this.faults.clear();
  }

  /** The machine, or only the process, stops and starts again: all open files are gone. */
  crash(loss: Loss): void {
    this.life++;
    this.isDown = false;
    this.faults.clear();
    if (loss === 'nothing') return;
    for (const renaming of this.pendingNames) {
      if (loss === 'torn' && this.random.below(2) === 0) this.rearrange(this.durableNames, renaming);
    }
    this.pendingNames = [];
    this.names = new Map(this.durableNames);
    for (const inode of new Set(this.names.values())) {
      if (loss === 'torn') this.keepSome(inode);
      inode.pending = [];
      inode.lost = [];
      inode.current = inode.durable.copy();
    }
  }

  /** Any part of what is not synced reaches the disk: often all or nothing of a change, else any of its sectors. */
  private keepSome(inode: Inode): void {
    const changes = inode.lost.concat(inode.pending);
    const all = this.random.below(3);
    for (const change of changes) {
      const choice = all === 2 ? this.random.below(4) : all;
      if (choice === 0) continue;
      if (choice === 1 || change.bytes === null) {
        inode.apply(inode.durable, change);
        continue;
      }
      const end = change.offset + change.bytes.length;
      // The new size may be durable without the bytes.
      if (this.random.below(2) === 0 && end > inode.durable.size) inode.durable.resize(end);
      for (let at = change.offset; at < end; ) {
        const next = Math.min(end, at - (at % SECTOR_BYTES) + SECTOR_BYTES);
        if (this.random.below(2) === 0) {
          inode.durable.write(change.bytes.subarray(at - change.offset, next - change.offset), at);
        }
        at = next;
      }
    }
  }

  /** The bytes of a file, for tests that look at them or change them behind everybody's back. */
  contents(path: string): Uint8Array {
    const inode = this.names.get(path);
    if (inode === undefined) throw new Error(`no file ${path}`);
    return inode.current.bytes.subarray(0, inode.current.size);
  }

  /** A file with these bytes, durably, in place of what had the name. */
  place(path: string, bytes: Uint8Array): void {
    const inode = new Inode();
    inode.current.write(bytes, 0);
    inode.durable.write(bytes, 0);
    this.names.set(path, inode);
    this.durableNames.set(path, inode);
  }

  open(path: string, _mode: 'read' | 'write'): DiskFile {
    this.fallIf(this.step('open', path, -1));
    const inode = this.names.get(path);
    if (inode === undefined) throw new DiskError('open', path, -1, 'ENOENT', 'ENOENT: no such file or directory');
    return new SimFile(this, path, inode, this.life);
  }

  create(path: string): DiskFile {
    const isCrash = this.step('create', path, -1);
    if (this.names.has(path)) this.fallIf(isCrash);
    if (this.names.has(path)) throw new DiskError('create', path, -1, 'EEXIST', 'EEXIST: file already exists');
    const inode = new Inode();
    this.change({ directory: dirname(path), removed: '', added: path, inode });
    this.fallIf(isCrash);
    return new SimFile(this, path, inode, this.life);
  }

  makeDirectory(path: string): void {
    this.fallIf(this.step('make the directory', path, -1));
  }

  rename(from: string, to: string): void {
    const isCrash = this.step('rename', from, -1);
    const inode = this.names.get(from);
    if (inode === undefined) this.fallIf(isCrash);
    if (inode === undefined) throw new DiskError('rename', from, -1, 'ENOENT', 'ENOENT: no such file or directory');
    if (dirname(from) !== dirname(to)) throw new Error('renaming from one directory to another is not simulated');
    this.change({ directory: dirname(to), removed: from, added: to, inode });
    this.fallIf(isCrash);
  }

  unlink(path: string): void {
    const isCrash = this.step('unlink', path, -1);
    if (!this.names.has(path)) this.fallIf(isCrash);
    if (!this.names.has(path)) throw new DiskError('unlink', path, -1, 'ENOENT', 'ENOENT: no such file or directory');
    this.change({ directory: dirname(path), removed: path, added: '', inode: undefined });
    this.fallIf(isCrash);
  }

  list(directory: string): string[] {
    this.fallIf(this.step('list', directory, -1));
    const prefix = `${directory}/`;
    return [...this.names.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .sort();
  }

  syncDirectory(directory: string): void {
    this.fallIf(this.step('sync', directory, -1));
    for (const renaming of this.pendingNames) {
      if (renaming.directory === directory) this.rearrange(this.durableNames, renaming);
    }
    this.pendingNames = this.pendingNames.filter((renaming) => renaming.directory !== directory);
  }

  private change(renaming: Renaming): void {
    this.rearrange(this.names, renaming);
    this.pendingNames.push(renaming);
  }

  private rearrange(names: Map<string, Inode>, { removed, added, inode }: Renaming): void {
    if (removed !== '') names.delete(removed);
    if (inode !== undefined) names.set(added, inode);
  }

  /**
   * Counts a call and lets its fault strike. True when the power goes in this step: the caller does its work, as far as
   * that is not yet durable, and then calls `fallIf`.
   */
  step(what: string, path: string, offset: number, life = this.life): boolean {
    if (this.isDown || life !== this.life) throw new PowerLoss('the power is off');
    this.steps++;
    const fault = this.faults.get(this.steps);
    if (fault === undefined || fault === 'short') return false;
    const writes = what === 'write' || what === 'create' || what === 'rename' || what === 'set the size of';
    if (fault === 'ENOSPC' && !writes) return false;
    if (fault === 'EROFS' && !writes && what !== 'unlink') return false;
    this.fired++;
    if (fault === 'crash') return true;
    if (fault === 'slow') {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, this.slowMs);
      return false;
    }
    throw new DiskError(what, path, offset, fault, `${fault}: injected`);
  }

  fallIf(isCrash: boolean): void {
    if (!isCrash) return;
    this.isDown = true;
    throw new PowerLoss('the power goes');
  }

  /** How many of `length` bytes at `offset` of a file a write takes in this step. */
  taken(inode: Inode, offset: number, length: number): number {
    let taken = length;
    if (this.faults.get(this.steps) === 'short' && length > 1) {
      this.fired++;
      taken = 1 + this.random.below(length - 1);
    }
    if (this.capacityBytes !== Number.POSITIVE_INFINITY) {
      let used = 0;
      for (const other of new Set(this.names.values())) used += other.current.size;
      const growth = Math.max(0, offset + taken - inode.current.size);
      if (growth > 0) taken -= Math.min(taken, Math.max(0, used + growth - this.capacityBytes));
    }
    return taken;
  }
}

class SimFile implements DiskFile {
  path: string;
  private readonly disk: SimDisk;
  private readonly inode: Inode;
  private readonly life: number;

  constructor(disk: SimDisk, path: string, inode: Inode, life: number) {
    this.disk = disk;
    this.path = path;
    this.inode = inode;
    this.life = life;
  }

  read(bytes: Uint8Array, start: number, length: number, offset: number): number {
    this.disk.fallIf(this.disk.step('read', this.path, offset, this.life));
    const { current } = this.inode;
    const count = Math.max(0, Math.min(length, current.size - offset));
    bytes.set(current.bytes.subarray(offset, offset + count), start);
    return count;
  }

  write(bytes: Uint8Array, start: number, length: number, offset: number): number {
    const isCrash = this.disk.step('write', this.path, offset, this.life);
    const taken = this.disk.taken(this.inode, offset, length);
    if (taken === 0 && length > 0) {
      throw new DiskError('write', this.path, offset, 'ENOSPC', 'ENOSPC: no space left on device');
    }
    this.change({ offset, bytes: bytes.slice(start, start + taken) });
    this.disk.fallIf(isCrash);
    return taken;
  }

  truncate(sizeBytes: number): void {
    const isCrash = this.disk.step('set the size of', this.path, sizeBytes, this.life);
    this.change({ offset: sizeBytes, bytes: null });
    this.disk.fallIf(isCrash);
  }

  sync(): void {
    const { inode } = this;
    try {
      this.disk.fallIf(this.disk.step('sync', this.path, -1, this.life));
    } catch (error) {
      if (error instanceof DiskError) {
        inode.lost.push(...inode.pending);
        inode.pending = [];
      }
      throw error;
    }
    for (const change of inode.pending) inode.apply(inode.durable, change);
    inode.pending = [];
  }

  size(): number {
    this.disk.fallIf(this.disk.step('look at', this.path, -1, this.life));
    return this.inode.current.size;
  }

  close(): void {}

  private change(change: Change): void {
    this.inode.apply(this.inode.current, change);
    this.inode.pending.push(change);
  }
}

/**
 * The small file beside a replica's log: who the replica is, its term and vote, which log is its own. Whoever owns the
 * storage calls it; blocks. It is written whole and renamed into place, so a crash leaves the old one or the new one:
 * two syncs, at elections and starts.
 *
 * ```
 * raft.state, little-endian, offsets in bytes
 * +0  magic "MILLRAFT" | +8 version u32 | +12 crc u32, CRC-32C of everything else
 * +16 flags u32: 1 = the log is in memory, 2 = part of the log was given up | +20 replica u32
 * +24 log u32, the number of the log; 0 = none is begun, and what lies there is not this replica's
 * +28 vote u32 | +32 term u64 | +40 incarnation u64 | +48 cluster id, 16 bytes | +64 node id, 16 bytes
 * ```
 *
 * Replica 3 in term 5, with a vote for replica 2, log 7, in its second life, from +16 to the ids:
 * `00 00 00 00 | 03 00 00 00 | 07 00 00 00 | 02 00 00 00 | 05 00 00 00 00 00 00 00 | 02 00 00 00 00 00 00 00`
 *
 * A damaged one is refused. What it held was a promise, and a replica that guesses may vote twice.
 */
import { crc32c } from '../log/crc32c.ts';
import { type Disk, DiskError, unlinkIfThere, writeAll } from '../log/disk.ts';
import { fromDisk, LogError, syncFailed } from '../log/errors.ts';
import type { HardState } from './entry.ts';
import type { Identity } from './storage.ts';

export interface StoreState {
  readonly identity: Identity;
  readonly incarnation: number;
  readonly hardState: HardState;
  readonly logNumber: number;
  readonly isInMemory: boolean;
  readonly isGivenUp: boolean;
}

const FORMAT_VERSION = 1;
const MAGIC = Buffer.from('MILLRAFT');
const BYTES = 80;
const FLAG_IN_MEMORY = 1;
const FLAG_GIVEN_UP = 2;
const ID = /^[0-9a-f]{32}$/;

export function statePath(directory: string): string {
  return `${directory}/raft.state`;
}

/** The state of one life of a replica. */
export class StateFile {
  /** Larger at each start of this directory; durable, unless no replica has used it. */
  readonly incarnation: number;
  private readonly disk: Disk;
  private readonly directory: string;
  private current: StoreState | undefined;

  /** Begins a life. Throws the LogError that an operator should read. */
  constructor(disk: Disk, directory: string) {
    this.disk = disk;
    this.directory = directory;
    try {
      disk.makeDirectory(directory);
    } catch (error) {
      throw fromDisk(error);
    }
    const found = read(disk, directory);
    this.current = found;
    this.incarnation = (found?.incarnation ?? 0) + 1;
    if (found !== undefined) this.update({ incarnation: this.incarnation });
  }

  /** Undefined in a directory that no replica has used. */
  get identity(): Identity | undefined {
    return this.current?.identity;
  }

  get state(): StoreState {
    if (this.current === undefined) throw new Error('raft: a replica begins before it does anything');
    return this.current;
  }

  /** Another replica from now on, which has promised nothing. */
  begin(identity: Identity, isInMemory: boolean): void {
    const hardState = { term: 0, vote: 0 };
    this.replace({ identity, incarnation: this.incarnation, hardState, logNumber: 0, isInMemory, isGivenUp: false });
  }

  /** Durable on return. After an error, but for a failed sync, nothing has changed, and the same call may be made again. */
  update(changes: Partial<StoreState>): void {
    this.replace({ ...this.state, ...changes });
  }

  private replace(state: StoreState): void {
    write(this.disk, this.directory, state);
    this.current = state;
  }
}

/**
 * For the repair of a damaged log, before it gives up entries: the replica may have answered for them, so it is lost from now on. Nothing
 * where no replica has been. While no server holds the directory.
 */
export function giveUpLog(disk: Disk, directory: string): void {
  const found = read(disk, directory);
  if (found !== undefined) write(disk, directory, { ...found, isGivenUp: true });
}

function read(disk: Disk, directory: string): StoreState | undefined {
  const path = statePath(directory);
  try {
    // One byte more than there should be, to see that there is none.
    const bytes = Buffer.alloc(BYTES + 1);
    const file = disk.open(path, 'read');
    try {
      return decode(bytes, file.read(bytes, 0, bytes.length, 0), path);
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof DiskError && error.code === 'NOT_FOUND') return undefined;
    throw fromDisk(error);
  }
}

function write(disk: Disk, directory: string, state: StoreState): void {
  const path = statePath(directory);
  const draft = `${path}.tmp`;
  const bytes = encode(state);
  try {
    unlinkIfThere(disk, draft);
    const file = disk.create(draft);
    try {
      writeAll(file, bytes, 0, bytes.length, 0);
      syncing(() => file.sync());
    } finally {
      file.close();
    }
    disk.rename(draft, path);
    syncing(() => disk.syncDirectory(directory));
  } catch (error) {
    throw fromDisk(error);
  }
}

function syncing(sync: () => void): void {
  try {
    sync();
  } catch (error) {
    throw error instanceof DiskError ? syncFailed(error) : error;
  }
}

function encode({ identity, incarnation, hardState, logNumber, isInMemory, isGivenUp }: StoreState): Buffer {
  if (!ID.test(identity.clusterId) || !ID.test(identity.nodeId))
    throw new Error('raft: an id is 32 hexadecimal digits');
  const b = Buffer.alloc(BYTES);
  MAGIC.copy(b, 0);
  b.writeUInt32LE(FORMAT_VERSION, 8);
  b.writeUInt32LE((isInMemory ? FLAG_IN_MEMORY : 0) | (isGivenUp ? FLAG_GIVEN_UP : 0), 16);
  b.writeUInt32LE(identity.replica, 20);
  b.writeUInt32LE(logNumber, 24);
  b.writeUInt32LE(hardState.vote, 28);
  b.writeBigUInt64LE(BigInt(hardState.term), 32);
  b.writeBigUInt64LE(BigInt(incarnation), 40);
  b.write(identity.clusterId, 48, 'hex');
  b.write(identity.nodeId, 64, 'hex');
  b.writeUInt32LE(checksum(b), 12);
  return b;
}

function decode(b: Buffer, count: number, path: string): StoreState {
  if (count >= 12 && b.subarray(0, 8).equals(MAGIC) && b.readUInt32LE(8) !== FORMAT_VERSION) {
    const version = b.readUInt32LE(8);
    b.writeUInt32LE(FORMAT_VERSION, 8);
    // A file that fits once its version is put right was changed there; any other is of a format not known here.
    if (count === BYTES && b.readUInt32LE(12) === checksum(b)) throw damaged(path, `it says format version ${version}`);
    const text = `the replica's state has format version ${version}, and this program reads version ${FORMAT_VERSION} (${path})`;
    throw new LogError('VERSION', text, path, 8);
  }
  if (count !== BYTES) throw damaged(path, `it has ${count > BYTES ? 'more than' : `${count} of`} ${BYTES} bytes`);
  if (!b.subarray(0, 8).equals(MAGIC)) throw damaged(path, 'it does not begin as one');
  if (b.readUInt32LE(12) !== checksum(b)) throw damaged(path, 'it does not match its checksum');
  const flags = b.readUInt32LE(16);
  return {
    identity: {
      clusterId: b.toString('hex', 48, 64),
      nodeId: b.toString('hex', 64, 80),
      replica: b.readUInt32LE(20),
    },
    incarnation: Number(b.readBigUInt64LE(40)),
    hardState: { term: Number(b.readBigUInt64LE(32)), vote: b.readUInt32LE(28) },
    logNumber: b.readUInt32LE(24),
    isInMemory: (flags & FLAG_IN_MEMORY) !== 0,
    isGivenUp: (flags & FLAG_GIVEN_UP) !== 0,
  };
}

function checksum(b: Buffer): number {
  return crc32c(b, 16, BYTES - 16, crc32c(b, 0, 12));
}

function damaged(path: string, what: string): LogError {
  const text =
    `the replica's state in ${path} is damaged: ${what}. Nothing was changed. What this replica has promised to its group ` +
    'cannot be known without it: move the directory away, and let the node join again';
  const error = new LogError('CORRUPT', text, path, 0);
  error.what = what;
  return error;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../engine/log/realdisk.ts';
import { EMPTY_CONFIG } from '../../engine/raft/config.ts';
import { RaftStore } from '../../engine/raft/store.ts';
import { diskAvailable, SmallDisk, tracer, tracerAvailable } from '../support/durability-disk.ts';
import { payload, termOf } from '../support/raft-store-batches.ts';

const CHILD = join(import.meta.dirname, '../support/raft-store-child.ts');
const NOTHING = { index: 0, term: 0, config: EMPTY_CONFIG, configIndex: 0 };
const TIMEOUT = 60_000;

if (!diskAvailable) console.warn('raft-store: no tmpfs may be mounted here, so tests with a full disk are skipped');
if (!tracerAvailable) console.warn('raft-store: there is no strace that may trace, so failing syncs are skipped');

/** The process that writes, and what it has said. */
class Writer {
  /** The last entry that it found, and the last that it was told to be persisted. */
  first = Number.POSITIVE_INFINITY;
  persisted = 0;
  readonly troubles: string[] = [];
  death = '';
  private readonly process: ChildProcess;
  private readonly exited: Promise<unknown>;
  private rest = '';

  constructor(directory: string, policy: string, before: readonly string[] = []) {
    const [command, ...args] = [...before, process.execPath, CHILD, directory, policy];
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.exited = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.stdout!.on('data', (data: Buffer) => this.hear(data.toString()));
  }

  private hear(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith('trouble: ')) this.troubles.push(line.slice(9));
      else if (line.startsWith('died: ')) this.death = line.slice(6);
      else this.persisted = Number(line);
      this.first = Math.min(this.first, this.persisted);
    }
  }

  async until(holds: () => boolean): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error(`persisted ${this.persisted}, troubles ${this.troubles}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.exited;
  }
}

let directory = '';
const writers: Writer[] = [];
let disk: SmallDisk | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'raft-store-'));
});

afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.kill();
  disk?.unmount();
  disk = undefined;
  rmSync(directory, { recursive: true, force: true });
});

function write(where: string, policy: string, before?: readonly string[]): Writer {
  const writer = new Writer(where, policy, before);
  writers.push(writer);
  return writer;
}

/** Everything up to `persisted` is there, as it was written. */
function check(where: string, persisted: number): void {
  const store = RaftStore.open(realDisk, where);
  const { log, hardState } = store.restore(NOTHING);
  expect(log.lastIndex).toBeGreaterThanOrEqual(persisted);
  expect(hardState.term).toBeGreaterThanOrEqual(termOf(log.lastIndex));
  for (let index = 1; index <= log.lastIndex; ) {
    for (const entry of store.read(index, log.lastIndex + 1, 1_000_000)) {
      // A term may be durable before the entries it was begun with.
      const isIt = entry.index === index && entry.term >= termOf(index);
      if (!isIt || Buffer.compare(entry.bytes, payload(index, entry.term)) !== 0) throw new Error(`entry ${index}`);
      index++;
    }
  }
  store.close();
}

it.each(['always', 'everysec'])(
  'has everything after kill -9, again and again: %s',
  async (policy) => {
    for (let life = 0; life < 2; life++) {
      const writer = write(directory, policy);
      await writer.until(() => writer.persisted > writer.first + 300);
      await writer.kill();
      check(directory, writer.persisted);
    }
  },
  TIMEOUT,
);

describe.skipIf(!diskAvailable)('on a full disk', () => {
  it(
    'waits, says so, and goes on when there is room',
    async () => {
      disk = SmallDisk.mount(24)!;
      const writer = write(disk.path, 'always');
      await writer.until(() => writer.persisted > 50);
      disk.fill();
      await writer.until(() => writer.troubles.length === 1);
      expect(writer.troubles[0]).toContain('no space left on device');
      const { persisted } = writer;
      disk.free();
      await writer.until(() => writer.troubles.length === 2 && writer.persisted > persisted + 50);
      expect(writer.troubles[1]).toBe('');
      await writer.kill();
      check(disk.path, writer.persisted);
    },
    TIMEOUT,
  );
});

describe.skipIf(!tracerAvailable)('when a sync fails', () => {
  it(
    'is the end, and nothing is told to be persisted that is not',
    async () => {
      // The first syncs are those of the start.
      const writer = write(directory, 'always', tracer('fdatasync', 'error=EIO:when=12+'));
      await writer.until(() => writer.death !== '');
      expect(writer.death).toContain('start again from what the disk has');
      check(directory, writer.persisted);
    },
    TIMEOUT,
  );
});

/**
 * The state machine of a simulated replica: a real engine that runs the commands of committed entries with the clock and the
 * randomness in them, the table of clients that ask for things once, and snapshots taken while it goes on.
 *
 * What two replicas hold after the same entry is compared cheaply by a digest of all replies so far, and now and then by everything
 * there is (`describe`).
 */
import { compactStep } from '../../../engine/alloc.ts';
import { arityFits, WRITE } from '../../../engine/command.ts';
import { execute } from '../../../engine/execute.ts';
import { expireDue } from '../../../engine/keyspace.ts';
import { BatchReader } from '../../../engine/log/batch.ts';
import { ENTRY_COMMAND, type Entry, type LogIndex, type SnapshotMeta } from '../../../engine/raft/entry.ts';
import { ONCE_DONE, ONCE_NEW, OnceTable } from '../../../engine/raft/once.ts';
import { loadPairs } from '../../../engine/rdb/decode.ts';
import { RdbInput } from '../../../engine/rdb/input.ts';
import { isSwept } from '../../../engine/snapshot/epoch.ts';
import { stateOf } from '../../support/state.ts';
import { Broken } from './broken.ts';
import { type Borrowed, borrowEngine, returnEngine } from './engines.ts';
import { encodeSnapshot, type SnapshotContent } from './snapshotbytes.ts';

const NO_EVICTION = { makeRoom: () => true };
const ONCE_ARGUMENTS = 3;
const EXPIRE_BUCKETS = 4;
/** What is answered to a command that was run before, when nobody knows any more what it gave. */
export const STALE_REPLY = '-STALE the command was run before\r\n';

/** A snapshot being taken: the moment is over, the sweep is not. */
interface Saving {
  readonly meta: SnapshotMeta;
  readonly nowMs: number;
  readonly digest: number;
  readonly once: Uint8Array;
}

export class Machine {
  appliedIndex: LogIndex = 0;
  /** The clock of the log. */
  nowMs = 0;
  /** Of all entries and replies so far. */
  digest = 0;
  /** Commands answered from the table of clients. */
  repeated = 0;
  private once = new OnceTable();
  private borrowed: Borrowed = borrowEngine();
  private readonly batch = new BatchReader();
  private saving: Saving | undefined = undefined;

  /** Applies the entry behind the last one; the replies of its commands. */
  apply(entry: Entry): string[] {
    const replies: string[] = [];
    const { index, term, kind, bytes, start, length } = entry;
    this.mix(`${index} ${term} ${kind}`);
    if (kind === ENTRY_COMMAND) {
      const { call } = this.borrowed.engine;
      this.batch.open(bytes, start, start + length);
      while (this.batch.next(call)) {
        const reply = call.is(0, 'ONCE') ? this.runOnce() : this.runCommand();
        this.mix(reply);
        replies.push(reply);
      }
    }
    this.appliedIndex = index;
    return replies;
  }

  private runOnce(): string {
    const { call } = this.borrowed.engine;
    const { buf, off, len } = call;
    const at = off[1];
    const length = len[1];
    const seq = Number(Buffer.from(buf.buffer, buf.byteOffset + off[2], len[2]).toString());
    const known = this.once.check(buf, at, length, seq);
    if (known !== ONCE_NEW) this.repeated++;
    if (known === ONCE_DONE) return Buffer.from(this.once.reply).toString('latin1');
    if (known !== ONCE_NEW) return STALE_REPLY;
    off.copyWithin(0, ONCE_ARGUMENTS, call.argc);
    len.copyWithin(0, ONCE_ARGUMENTS, call.argc);
    call.argc -= ONCE_ARGUMENTS;
    const reply = this.runCommand();
    const bytes = Buffer.from(reply, 'latin1');
    this.once.record(buf, at, length, seq, bytes, 0, bytes.length, 2, this.nowMs);
    return reply;
  }

  private runCommand(): string {
    const { engine } = this.borrowed;
    const { call } = engine;
    if (call.nowMs < this.nowMs)
      throw new Broken('M', `the time in the log goes back to ${call.nowMs} from ${this.nowMs}`);
    this.nowMs = call.nowMs;
    const row = engine.table.resolve(call);
    if (row === undefined || !arityFits(row, call.argc) || (row.flags & WRITE) === 0) {
      throw new Error(`an entry holds a command that is none: ${call.shown(0, 64)}`);
    }
    call.begin(row);
    call.reply.length = 0;
    execute(call, row, NO_EVICTION);
    const reply = Buffer.from(call.reply.u8.subarray(0, call.reply.length)).toString('latin1');
    for (const arena of engine.shards.arenas) {
      compactStep(arena);
      expireDue(arena, call.nowMs, EXPIRE_BUCKETS);
    }
    return reply;
  }

  private mix(text: string): void {
    let { digest } = this;
    for (let i = 0; i < text.length; i++) digest = Math.imul(digest ^ text.charCodeAt(i), 0x01000193);
    this.digest = Math.imul(digest ^ 0xff, 0x01000193) >>> 0;
  }

  /** Runs a command that only reads. */
  read(args: readonly string[]): string {
    const { engine } = this.borrowed;
    engine.nowMs = this.nowMs;
    return engine.run(...args);
  }

  /** Everything there is, as text: equal texts are equal states. */
  describe(): string {
    const { engine } = this.borrowed;
    engine.nowMs = this.nowMs;
    const keys = [...stateOf(engine)].map(([key, value]) => `${key} = ${value}`).sort();
    return [`clock ${this.nowMs}`, `digest ${this.digest}`, `once ${this.once.hash()}`, ...keys].join('\n');
  }

  // ---------------------------------------------------------------- snapshots

  get isSaving(): boolean {
    return this.saving !== undefined;
  }

  /** Begins a snapshot of what is applied now. */
  beginSnapshot(meta: SnapshotMeta): void {
    const { nowMs, digest } = this;
    this.saving = { meta, nowMs, digest, once: this.once.encode() };
    this.borrowed.snapshots.begin(nowMs);
  }

  /** Goes on with it; the bytes, once there is nothing left. */
  stepSnapshot(buckets: number): { meta: SnapshotMeta; bytes: Uint8Array } | undefined {
    const { saving } = this;
    if (saving === undefined) return undefined;
    const { snapshots, engine } = this.borrowed;
    const { arenas } = engine.shards;
    const shard = arenas.findIndex((arena) => !isSwept(arena));
    if (shard >= 0) {
      snapshots.step(shard, buckets);
      return undefined;
    }
    snapshots.finish();
    this.saving = undefined;
    return { meta: saving.meta, bytes: encodeSnapshot({ ...saving, chunks: snapshots.chunks }) };
  }

  /** Becomes what a snapshot holds, whatever it was before. */
  load({ meta, nowMs, digest, once, chunks }: SnapshotContent): void {
    returnEngine(this.borrowed);
    this.borrowed = borrowEngine();
    this.saving = undefined;
    const { engine } = this.borrowed;
    engine.call.setClock(nowMs);
    for (const chunk of chunks) loadPairs(engine.call, new RdbInput(Uint8Array.from(chunk)));
    engine.call.db = 0;
    this.once = OnceTable.decode(once);
    this.nowMs = nowMs;
    this.digest = digest;
    this.appliedIndex = meta.index;
  }

  /** Gives the engine's memory to whoever needs one next. */
  close(): void {
    returnEngine(this.borrowed);
  }
}

/**
 * The storage of a replica on a disk, as the main thread sees it: starts the thread that owns log, term and vote, hands it
 * batches over a ring, says when they are persisted. A batch with an entry of 60 KB costs the main thread its copy and two or three atomic
 * operations; nothing here waits for the disk.
 *
 * What the ring has no room for waits here: not more than the replica has under way (RaftOptions.uncommittedBytes, and the
 * window of its leader).
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import {
  allocateLogMemory,
  POLICY,
  POLICY_ALWAYS,
  POLICY_EVERYSEC,
  POLICY_NO,
  STATUS,
  STATUS_OK,
  STOP,
} from '../engine/log/link.ts';
import type { Entry, HardState, LogIndex, SnapshotMeta } from '../engine/raft/entry.ts';
import type { Restored } from '../engine/raft/options.ts';
import type { Identity, ReplicaStorage } from '../engine/raft/storage.ts';
import { StoreLink } from '../engine/raft/storelink.ts';
import {
  errorOf,
  type StoreMessage,
  type StoreRequest,
  type StoreThreadData,
  unpackEntries,
} from '../engine/raft/storemessages.ts';
import { restoredFrom } from '../engine/raft/storeopened.ts';
import type { FsyncPolicy } from './logwriter.ts';

const POLICIES: Record<FsyncPolicy, number> = { always: POLICY_ALWAYS, everysec: POLICY_EVERYSEC, no: POLICY_NO };

/** A batch of which at least a part waits for room; `next` is the entry to be sent, -1 when its head is. */
interface Unsent {
  batch: number;
  hardState: HardState | null;
  snapshot: SnapshotMeta | null;
  entries: readonly Entry[];
  next: number;
}

interface Question {
  answer: (message: StoreMessage) => void;
  refuse: (error: Error) => void;
}

/** The replica's directory, opened. Rejects with the LogError that an operator should read. `die`: the storage has come to an end. */
export async function openRaftStorage(
  directory: string,
  policy: FsyncPolicy,
  die: (text: string) => void,
): Promise<RaftStorage> {
  const storage = new RaftStorage(directory, policy, die);
  await storage.ready;
  return storage;
}

export class RaftStorage implements ReplicaStorage {
  identity: Identity | undefined = undefined;
  incarnation = 0;
  onPersisted: (batch: number) => void = () => {};
  onTrouble: (text: string) => void = () => {};
  /** What an operator should know of what `restore` found. */
  notes: readonly string[] = [];
  /** When identity and incarnation are known. */
  readonly ready: Promise<void>;
  private readonly link: StoreLink;
  private readonly port: MessagePort;
  private readonly bell = new Int32Array(new SharedArrayBuffer(64));
  private readonly die: (text: string) => void;
  private becomeReady: () => void = () => {};
  private refuseStart: (error: Error) => void = () => {};
  private isReady = false;
  private readonly unsent: Unsent[] = [];
  /** The last batch handed over, and the last that was told to be persisted. */
  private written = 0;
  private persisted = 0;
  private readonly questions = new Map<number, Question>();
  private lastQuestion = 0;
  private isClosing = false;
  private hasEnded = false;
  private readonly exited: Promise<void>;
  private finish: () => void = () => {};
  /** For `close`, which waits for room. */
  private wake: () => void = () => {};

  constructor(directory: string, policy: FsyncPolicy, die: (text: string) => void) {
    this.die = die;
    this.ready = new Promise((resolve, reject) => {
      this.becomeReady = resolve;
      this.refuseStart = reject;
    });
    this.exited = new Promise((resolve) => {
      this.finish = resolve;
    });
    const memory = allocateLogMemory();
    const messages = new MessageChannel();
    const large = new MessageChannel();
    this.port = messages.port1;
    this.link = new StoreLink(memory, large.port1);
    Atomics.store(this.link.words, POLICY, POLICIES[policy]);
    this.port.on('message', (message: StoreMessage) => this.receive(message));
    const data: StoreThreadData = {
      memory,
      mainBell: this.bell.buffer as SharedArrayBuffer,
      directory,
      port: messages.port2,
      entryPort: large.port2,
    };
    const entry = new URL(
      import.meta.url.endsWith('.ts') ? '../engine/raft/storethread.ts' : '../engine/raft/storethread.js',
      import.meta.url,
    );
    const thread = new Worker(entry, {
      workerData: data,
      transferList: [messages.port2, large.port2],
      name: 'raft-storage',
    });
    thread.on('error', (error) => this.end(new Error(`the replica's storage failed: ${error.stack ?? error.message}`)));
    thread.on('exit', (code) => this.onExit(code));
    this.listen();
  }

  /** As in engine/log/link.ts; entries are those of the log. */
  get numbers(): Float64Array {
    return this.link.numbers;
  }

  /** Whether the disk takes what is written. */
  get isHealthy(): boolean {
    return this.link.words[STATUS] === STATUS_OK;
  }

  setPolicy(policy: FsyncPolicy): void {
    Atomics.store(this.link.words, POLICY, POLICIES[policy]);
    this.link.call();
  }

  // ---------------------------------------------------------------- batches

  write(batch: number, hardState: HardState | null, snapshot: SnapshotMeta | null, entries: readonly Entry[]): boolean {
    const isIdle = this.written === this.persisted;
    this.written = batch;
    if (isIdle && hardState === null && snapshot === null && entries.length === 0) {
      this.persisted = batch;
      return true;
    }
    const head: Unsent = { batch, hardState, snapshot, entries, next: -1 };
    if (this.unsent.length > 0 || !this.send(head)) this.unsent.push(head);
    this.link.call();
    return false;
  }

  /** Hands over what there is room for; whether that is all. */
  private send(head: Unsent): boolean {
    const { batch, hardState, snapshot, entries } = head;
    if (head.next < 0) {
      if (!this.link.sendBatch(batch, hardState, snapshot, entries.length)) return false;
      head.next = 0;
    }
    while (head.next < entries.length) {
      if (!this.link.sendEntry(entries[head.next])) return false;
      head.next++;
    }
    return true;
  }

  /** Sleeps on the bell without blocking the event loop. */
  private listen(): void {
    if (this.hasEnded) return;
    const rung = Atomics.load(this.bell, 0);
    this.advance();
    const wait = Atomics.waitAsync(this.bell, 0, rung);
    if (wait.async) wait.value.then(() => this.listen());
    else setImmediate(() => this.listen());
  }

  /** The thread has gone on. */
  private advance(): void {
    if (this.unsent.length > 0) {
      while (this.unsent.length > 0 && this.send(this.unsent[0])) this.unsent.shift();
      this.link.call();
      this.wake();
    }
    const persisted = this.link.persistedSince(this.persisted);
    if (persisted <= this.persisted) return;
    this.persisted = persisted;
    this.onPersisted(persisted);
  }
  // ---------------------------------------------------------------- questions

  async begin(identity: Identity): Promise<void> {
    await this.ask((id) => ({ kind: 'begin', id, identity }));
    this.identity = identity;
  }

  async restore(snapshot: SnapshotMeta): Promise<Restored> {
    const { index, term } = snapshot;
    const message = await this.ask((id) => ({ kind: 'open', id, snapshotIndex: index, snapshotTerm: term }));
    if (message.kind !== 'opened') throw new Error(`raft: ${message.kind} is no answer`);
    this.notes = message.notes;
    return restoredFrom(snapshot, message.opened);
  }

  /** Waits while the disk does not take what is written; gives none once the storage has ended. */
  async fetch(from: LogIndex, to: LogIndex, maxBytes: number): Promise<readonly Entry[]> {
    try {
      const message = await this.ask((id) => ({ kind: 'fetch', id, from, to, maxBytes }));
      return message.kind === 'fetched' ? unpackEntries(message.bytes) : [];
    } catch (error) {
      if (this.hasEnded) return [];
      throw error;
    }
  }

  compact(through: LogIndex): void {
    this.post({ kind: 'compact', through });
  }

  private ask(request: (id: number) => StoreRequest): Promise<StoreMessage> {
    if (this.hasEnded) return Promise.reject(new Error('raft: the storage has ended'));
    const id = ++this.lastQuestion;
    return new Promise((answer, refuse) => {
      this.questions.set(id, { answer, refuse });
      this.post(request(id));
    });
  }

  private post(request: StoreRequest): void {
    this.port.postMessage(request);
    this.link.call();
  }

  private receive(message: StoreMessage): void {
    if (message.kind === 'life') {
      this.identity = message.identity;
      this.incarnation = message.incarnation;
      this.isReady = true;
      this.becomeReady();
    } else if (message.kind === 'trouble') {
      this.wake();
      this.onTrouble(message.text);
    } else if (message.kind === 'fatal') {
      this.end(errorOf(message.failure));
    } else {
      const question = this.questions.get(message.id);
      this.questions.delete(message.id);
      if (message.kind === 'refused') question?.refuse(errorOf(message.failure));
      else question?.answer(message);
    }
  }

  // ---------------------------------------------------------------- the end

  private onExit(code: number): void {
    // Its last words may not have been heard.
    for (let last = receiveMessageOnPort(this.port); last !== undefined; last = receiveMessageOnPort(this.port)) {
      this.receive(last.message as StoreMessage);
    }
    this.end(new Error(`the replica's storage ended with code ${code}`));
    this.port.close();
    this.finish();
  }

  private end(error: Error): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    for (const { refuse } of this.questions.values()) refuse(error);
    this.questions.clear();
    this.wake();
    // Ends `listen`.
    Atomics.add(this.bell, 0, 1);
    Atomics.notify(this.bell, 0);
    if (!this.isReady) this.refuseStart(error);
    else if (!this.isClosing) this.die(error.message);
  }

  async close(): Promise<void> {
    this.isClosing = true;
    while (this.unsent.length > 0 && this.isHealthy && !this.hasEnded) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    Atomics.store(this.link.words, STOP, 1);
    this.link.call();
    await this.exited;
  }
}

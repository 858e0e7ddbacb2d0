/**
 * The log's writer thread seen from the main thread: starts it, gets back what the log holds, hands on what it says. What
 * goes into the log goes by `front`, once it is open.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { LogFront } from '../engine/log/front.ts';
import {
  allocateLogMemory,
  BELL,
  LogLink,
  type LogMemory,
  POLICY,
  POLICY_ALWAYS,
  POLICY_EVERYSEC,
  POLICY_NO,
  STOP,
} from '../engine/log/link.ts';
import type { LogMessage, LogRequest, LogThreadData } from '../engine/log/thread.ts';

export type FsyncPolicy = 'always' | 'everysec' | 'no';

const POLICIES: Record<FsyncPolicy, number> = { always: POLICY_ALWAYS, everysec: POLICY_EVERYSEC, no: POLICY_NO };

/** A piece of the log as it was read back: entries as LogMessage describes, and how far the reading has come. */
export interface LogPiece {
  bytes: Uint8Array;
  bytesDone: number;
  bytesAll: number;
}

export interface LogOpened {
  /** What an operator should know: a torn tail that was cut, entries that cannot be used. */
  notes: string[];
  /** The last entry; `front` begins behind it. */
  lastIndex: number;
  /** Whether entries were passed over, so that a snapshot is wanted soon. */
  hasGap: boolean;
}

export class LogWriter {
  /** Called when the disk does not take what is written, or takes it again (''). */
  onTrouble: (text: string) => void = () => {};
  private readonly memory: LogMemory = allocateLogMemory();
  private readonly link: LogLink;
  private readonly port: MessagePort;
  private readonly thread: Worker;
  private readonly die: (text: string) => void;
  private readonly pieces: LogPiece[] = [];
  private outcome: LogOpened | Error | undefined = undefined;
  private wake: () => void = () => {};
  private stopping = false;

  /** `restarts`: the log begins anew behind `afterIndex`. `die` is called when the log has come to an end it must not have. */
  constructor(
    directory: string,
    afterIndex: number,
    restarts: boolean,
    policy: FsyncPolicy,
    mainBell: SharedArrayBuffer,
    die: (text: string) => void,
  ) {
    this.die = die;
    const messages = new MessageChannel();
    const entries = new MessageChannel();
    this.port = messages.port1;
    this.link = new LogLink(this.memory, entries.port1);
    this.setPolicy(policy);
    const data: LogThreadData = {
      memory: this.memory,
      mainBell,
      directory,
      afterIndex,
      restarts,
      port: messages.port2,
      entryPort: entries.port2,
    };
    const entry = new URL(
      import.meta.url.endsWith('.ts') ? '../engine/log/thread.ts' : '../engine/log/thread.js',
      import.meta.url,
    );
    this.port.on('message', (message: LogMessage) => this.receive(message));
    this.thread = new Worker(entry, {
      workerData: data,
      transferList: [messages.port2, entries.port2],
      name: 'log-writer',
    });
    this.thread.on('error', (error) => this.ended(`the log's writer failed: ${error.stack ?? error.message}`));
    this.thread.on('exit', (code) => this.ended(`the log's writer ended with code ${code}`));
  }

  private receive(message: LogMessage): void {
    if (message.kind === 'entries') this.pieces.push(message);
    else if (message.kind === 'opened') this.outcome = message;
    else if (message.kind === 'trouble') this.onTrouble(message.text);
    else this.ended(message.text);
    this.wake();
  }

  private ended(text: string): void {
    if (this.stopping) return;
    if (this.outcome === undefined) this.outcome = new Error(text);
    else if (!(this.outcome instanceof Error)) this.die(text);
    this.wake();
  }

  /** The next piece of what the log holds behind `afterIndex`; undefined after the last. Rejects when it cannot be read. */
  async next(): Promise<LogPiece | undefined> {
    for (;;) {
      const piece = this.pieces.shift();
      if (piece !== undefined) {
        this.request({ kind: 'more' });
        return piece;
      }
      if (this.outcome instanceof Error) throw this.outcome;
      if (this.outcome !== undefined) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /** After `next` has given undefined. */
  get opened(): LogOpened {
    return this.outcome as LogOpened;
  }

  /** The end that writes go into; made when the log is open. */
  front(): LogFront {
    return new LogFront(this.link, this.opened.lastIndex);
  }

  get numbers(): Float64Array {
    return this.link.numbers;
  }

  setPolicy(policy: FsyncPolicy): void {
    Atomics.store(this.link.words, POLICY, POLICIES[policy]);
    this.ring();
  }

  /** A snapshot covers the entries up to this one. */
  drop(through: number): void {
    this.request({ kind: 'drop', through });
  }

  private request(request: LogRequest): void {
    this.port.postMessage(request);
    this.ring();
  }

  private ring(): void {
    Atomics.add(this.link.words, BELL, 1);
    Atomics.notify(this.link.words, BELL);
  }

  /** Ends the thread when everything is written and synced. */
  async close(): Promise<void> {
    this.stopping = true;
    const exited = new Promise((resolve) => this.thread.once('exit', resolve));
    Atomics.store(this.link.words, STOP, 1);
    this.ring();
    await exited;
    this.port.close();
  }
}

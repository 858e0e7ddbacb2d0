/**
 * What clients of real nodes asked, when, and what came back: a history for linearizability.ts. Each client runs one command after
 * another, on a few keys that all of them share; keys are left for new ones after a while, so that each one's history stays
 * short enough to be judged. One thread; the clock is this process's, so all clients run in it.
 *
 * An operation that certainly was not done is left out; one that was sent and not answered stays, without a return. Reads without
 * an answer tell nothing and are left out, too.
 */
import type { Random } from '../../engine/random.ts';
import { ConnectionLost } from '../../net/client/connection.ts';
import { ClerkError, ReplyError } from '../../net/client/errors.ts';
import type { Reply } from '../../net/client/reply.ts';
import type { Answer, Operation } from './linearizability.ts';
import { seeded } from './seeded.ts';

/** Does one command; rejects, or resolves with an error, when it does not work. */
export type Caller = (...args: string[]) => Promise<Reply>;

/** Operations on one generation of keys, of all clients together, before the next one. */
const GENERATION_OPS = 1200;
const KEYS = 3;
const READS = new Set(['GET', 'STRLEN']);
/** Errors of commands that were not done. All others but `UNKNOWN` are no answers that a test expects. */
const NOT_DONE = new Set(['CLUSTERDOWN', 'LOADING', 'TRYAGAIN', 'NOTLEADER', 'NOTAPPLIED']);

export class History {
  readonly operations: Operation[] = [];
  /** Commands by how they ended. */
  answered = 0;
  unknown = 0;
  notDone = 0;
  /** Writes that a node said were not done, for people who look for the reason of a failure. */
  readonly refused: string[] = [];
  /** What nobody should see: errors that are none of the above. */
  readonly problems: string[] = [];
  /** When writes were acknowledged, and called: ms of performance.now, by the time of the answer. */
  private readonly writes: { call: number; return: number }[] = [];
  private clients = 0;

  /** A client's number; those of one that was left in doubt need no others. */
  newClient(): number {
    return this.clients++;
  }

  /** Runs a command and keeps what is known of it. Resolves with whether it was answered. */
  async record(client: number, caller: Caller, key: string, command: readonly string[]): Promise<boolean> {
    const [name, ...rest] = command;
    const call = performance.now();
    let answer: Answer = null;
    let isUnknown = false;
    try {
      const reply = await caller(name, key, ...rest);
      if (reply instanceof ReplyError) throw reply;
      answer = reply as Answer;
    } catch (error) {
      const outcome = this.outcomeOf(error as Error);
      if (outcome === 'not done') {
        this.notDone++;
        if (!READS.has(name))
          this.refused.push(`client ${client}, ${call}: ${command.join(' ')} ${key}: ${(error as Error).message}`);
        return false;
      }
      isUnknown = true;
    }
    if (isUnknown) {
      this.unknown++;
      if (!READS.has(name)) this.keep({ client, key, command, answer, call, return: Number.POSITIVE_INFINITY });
      return false;
    }
    const returned = performance.now();
    this.answered++;
    if (!READS.has(name)) this.writes.push({ call, return: returned });
    this.keep({ client, key, command, answer, call, return: returned });
    return true;
  }

  /** How long after `sinceMs` the first write that was called later was acknowledged; Infinity: none was. */
  resumedAfterMs(sinceMs: number): number {
    return (this.writes.find(({ call }) => call >= sinceMs)?.return ?? Number.POSITIVE_INFINITY) - sinceMs;
  }

  /** All keys that there are operations on. */
  get keys(): string[] {
    return [...new Set(this.operations.map(({ key }) => key))];
  }

  /** Reads every key once, so that whatever was acknowledged and is lost is seen to be. All have to be answered. */
  async readAll(caller: Caller): Promise<void> {
    const client = this.newClient();
    for (const key of this.keys) {
      if (!(await this.record(client, caller, key, ['GET'])))
        this.problems.push(`the last read of ${key} was not answered`);
    }
  }

  private keep(operation: Operation): void {
    this.operations.push(operation);
  }

  private outcomeOf(error: Error): 'unknown' | 'not done' {
    if (error instanceof ClerkError) return error.code === 'UNKNOWN_OUTCOME' ? 'unknown' : 'not done';
    if (error instanceof ConnectionLost) return 'unknown';
    if (error instanceof ReplyError && error.code === 'UNKNOWN') return 'unknown';
    if (!(error instanceof ReplyError) || !NOT_DONE.has(error.code))
      this.problems.push(`${error.name}: ${error.message}`);
    return 'not done';
  }
}

export interface LoadOptions {
  readonly seed: number;
  /** One for each client; asked for again when a call was not answered. */
  readonly callers: readonly Caller[];
  /**
   * For clients that only read, whether the answers before have come or not: a node that has been away finds reads that were
   * asked for when others had gone on.
   */
  readonly readers?: readonly Caller[];
}

/** Between two commands of a client, up to twice as long; between two reads of a reader. */
const PAUSE_MS = 2;
const READER_MS = 20;
/** Reads of one reader that wait for their answers. */
const MOST_PENDING = 150;
const KINDS = ['register', 'counter', 'text'];

/** Clients at work until `stop`. */
export class HistoryLoad {
  private readonly history: History;
  private readonly done: Promise<unknown>;
  private isStopping = false;
  private started = 0;

  constructor(history: History, { seed, callers, readers = [] }: LoadOptions) {
    this.history = history;
    this.done = Promise.all([
      ...callers.map((caller, i) => this.client(caller, seeded(seed + i * 7919))),
      ...readers.map((caller, i) => this.reader(caller, seeded(seed - i * 7919))),
    ]);
  }

  /** Resolves when every client has its last answer, or knows that none comes. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.done;
  }

  private async client(caller: Caller, random: Random): Promise<void> {
    const client = this.history.newClient();
    for (let n = 0; !this.isStopping; n++) {
      this.started++;
      const kind = random.below(KINDS.length);
      const key = this.key(kind, random);
      const value = `${client}.${n}`;
      // As many reads as writes; values are told apart.
      let command = ['GET'];
      if (random.below(2) === 0) command = [['SET', value], ['INCR'], ['APPEND', `${value};`]][kind];
      if (kind === 0 && random.below(20) === 0) command = ['DEL'];
      await this.history.record(client, caller, key, command);
      await new Promise((resolve) => setTimeout(resolve, random.below(PAUSE_MS * 2 + 1)));
    }
  }

  private async reader(caller: Caller, random: Random): Promise<void> {
    const client = this.history.newClient();
    const pending = new Set<Promise<unknown>>();
    while (!this.isStopping) {
      if (pending.size < MOST_PENDING) {
        const key = this.key(random.below(KINDS.length), random);
        const read = this.history.record(client, caller, key, ['GET']).finally(() => pending.delete(read));
        pending.add(read);
      }
      await new Promise((resolve) => setTimeout(resolve, READER_MS));
    }
    await Promise.all(pending);
  }

  /** One of those that are in use now. */
  private key(kind: number, random: Random): string {
    return `${KINDS[kind]}:${Math.floor(this.started / GENERATION_OPS)}:${random.below(KEYS)}`;
  }
}

/// <reference types="node" preserve="true" />
/**
 * A client that sees a cluster as one thing: it finds the leader, follows it through failovers, and repeats what was not
 * answered, in such a way that nothing is applied twice. For programs on Node; imports nothing of the server.
 *
 * A write costs one round trip, as with any client, and up to 16 are under way at once; reads are pipelined as they come.
 */
import { type Argument, nameOf, taken } from './arguments.ts';
import { Backoff } from './backoff.ts';
import { addressOf, ConnectionLost } from './connection.ts';
import { Effort } from './effort.ts';
import { ClerkError, ReplyError } from './errors.ts';
import { type Kind, kindOf } from './kinds.ts';
import { type ClerkOptions, checkOptions } from './options.ts';
import { isDoubtful, isForgotten, isPassing } from './passing.ts';
import type { Reply } from './reply.ts';
import { Route } from './route.ts';
import { Writers } from './writers.ts';

const TIMEOUT_MS = 10_000;
/** Shares of the time-out for which a node may be silent. */
const SILENCES = 4;

/**
 * ```ts
 * const clerk = new Clerk({ nodes: ['127.0.0.1:7001', '127.0.0.1:7002', '127.0.0.1:7003'] });
 * await clerk.put('greeting', 'hello');
 * await clerk.append('greeting', ', world');
 * await clerk.get('greeting'); // 'hello, world'
 * await clerk.command('HSET', 'h', 'field', 1);
 * clerk.close();
 * ```
 *
 * Commands reject with a ReplyError when a node answers with an error, and with a ClerkError when no answer came until the
 * time-out: `UNKNOWN_OUTCOME` for a write that may have been applied (once) or not, `UNAVAILABLE` for what was not done. An
 * argument that is no string, number, bigint or Uint8Array is a TypeError, before anything is sent.
 *
 * Writes need a group of nodes (`initial-cluster`, `join`), if only of one: it keeps what makes a retry safe. A single node
 * without a group serves reads, and answers writes with an error.
 */
export class Clerk {
  private readonly timeoutMs: number;
  private readonly route: Route;
  private readonly writers = new Writers();
  /** What is under way. */
  private readonly efforts = new Set<Effort>();
  private isClosed = false;

  /** Throws a TypeError or a RangeError for options that make no sense. */
  constructor(options: ClerkOptions) {
    checkOptions(options);
    const { nodes, password, timeoutMs = TIMEOUT_MS, consistency } = options;
    this.timeoutMs = timeoutMs;
    this.route = new Route(nodes.map(addressOf), { password, consistency, silenceMs: timeoutMs / SILENCES });
  }

  /** The string at a key; null when there is none. */
  get(key: string | Uint8Array): Promise<string | null> {
    return this.command('GET', key) as Promise<string | null>;
  }

  /** The same as bytes. */
  getBuffer(key: string | Uint8Array): Promise<Buffer | null> {
    return this.commandBuffer('GET', key) as Promise<Buffer | null>;
  }

  /** Sets a key to a string. */
  async put(key: string | Uint8Array, value: Argument): Promise<void> {
    await this.command('SET', key, value);
  }

  /** Appends to the string at a key; the length of the whole string. */
  append(key: string | Uint8Array, value: Argument): Promise<number> {
    return this.command('APPEND', key, value) as Promise<number>;
  }

  /**
   * Any command: `command('ZADD', 'board', 3, 'ann')`. Not those that belong to a connection (SELECT, SUBSCRIBE, MULTI …) or
   * hold it up (BLPOP …): they throw a TypeError. Commands that ask or change one node (CONFIG, RAFT …) go to the one
   * in use, the leader as a rule, and are not repeated once they were sent; nor is SPOP, which ONCE does not take.
   */
  command(...args: Argument[]): Promise<Reply> {
    return this.run(args, false);
  }

  /** Any command; strings in its reply are Buffers. */
  commandBuffer(...args: Argument[]): Promise<Reply> {
    return this.run(args, true);
  }

  /** Ends all connections. What is under way fails: `UNKNOWN_OUTCOME` for writes that were sent. */
  close(): void {
    this.isClosed = true;
    for (const effort of this.efforts) effort.close();
    this.route.close();
  }

  private async run(given: readonly Argument[], asBuffers: boolean): Promise<Reply> {
    const args = taken(given);
    const name = nameOf(args);
    const kind = kindOf(name);
    if (kind === 'refused') throw new TypeError(`${name} needs a connection of its own`);
    if (this.isClosed) throw new ClerkError('CLOSED', `${name}: the client was closed`);
    const effort = new Effort(name, kind, this.timeoutMs, () => this.route.trouble);
    this.efforts.add(effort);
    try {
      const work = kind === 'write' ? this.write(effort, args, asBuffers) : this.tries(effort, kind, args, asBuffers);
      return await effort.within(work);
    } catch (error) {
      throw effort.meaning(error as Error);
    } finally {
      this.efforts.delete(effort);
      effort.end(DONE);
    }
  }

  /** Does a write under a writer's name, which is free again when the write is answered or given up. */
  private async write(effort: Effort, args: readonly Argument[], asBuffers: boolean): Promise<Reply> {
    let writer = await this.writers.take();
    const attempt = async (): Promise<Reply> => {
      effort.check();
      return effort.within(this.tries(effort, 'write', ['ONCE', writer.id, writer.seq, ...args], asBuffers));
    };
    try {
      const reply = await attempt().catch((error) => {
        if (!(error instanceof ReplyError && isForgotten(error)) || effort.isInDoubt) throw error;
        writer = this.writers.replace();
        return attempt();
      });
      this.writers.done(writer);
      return reply;
    } catch (error) {
      if (effort.isInDoubt) this.writers.lose();
      else if (error instanceof ReplyError) this.writers.refused(writer);
      else this.writers.unused(writer);
      throw error;
    }
  }

  /** Sends a command until it is answered. */
  private async tries(effort: Effort, kind: Kind, args: readonly Argument[], asBuffers: boolean): Promise<Reply> {
    const backoff = new Backoff();
    for (;;) {
      const wasInDoubt = effort.isInDoubt;
      try {
        const connection = await this.route.connection(effort.deadlineMs);
        effort.check();
        const answer = connection.send(args, asBuffers);
        effort.isInDoubt = true;
        const reply = await answer;
        if (!(reply instanceof ReplyError)) return reply;
        if (!isDoubtful(reply)) effort.isInDoubt = wasInDoubt;
        if (!isPassing(reply)) throw reply;
        effort.trouble = reply;
        void this.route.check();
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        effort.trouble = error;
      }
      if (kind === 'single' && effort.isInDoubt) throw effort.failure();
      await backoff.pause();
      effort.check();
    }
  }
}

/** For an effort that has ended with an answer: nobody gets to see it. */
const DONE = new Error('the command is over');

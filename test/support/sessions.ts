/**
 * Clients that read with the consistency `session` and check what that promises: each reads its own writes, and nothing that
 * it read goes back. Each has a key of its own and counts on it upwards, so that whatever it reads tells which write it saw.
 */
import { ConnectionLost } from '../../net/client/connection.ts';
import { ClerkError, ReplyError } from '../../net/client/index.ts';
import type { Caller } from './history.ts';

const PAUSE_MS = 5;
/** Errors that are no trouble of sessions. */
const PASSING = new Set(['CLUSTERDOWN', 'LOADING', 'TRYAGAIN', 'NOTLEADER', 'NOTAPPLIED', 'UNKNOWN']);

export interface SessionClient {
  readonly call: Caller;
  /** How many connections it has had: what one of them has seen the next one need not see. */
  readonly connections: number;
}

export class SessionLoad {
  readonly problems: string[] = [];
  /** Reads that were answered. */
  reads = 0;
  private isStopping = false;
  private done: Promise<unknown> = Promise.resolve();

  start(clients: readonly SessionClient[]): void {
    this.done = Promise.all(clients.map((client, i) => this.run(client, `session:${i}`)));
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.done;
  }

  private async run(client: SessionClient, key: string): Promise<void> {
    /** The newest value that was acknowledged or read on this connection, and the newest that was sent. */
    let seen = 0;
    let sent = 0;
    let connections = 0;
    const ask = async (...args: string[]): Promise<unknown> => {
      try {
        const reply = await client.call(...args);
        if (reply instanceof ReplyError) throw reply;
        return reply;
      } catch (error) {
        this.failed(key, error as Error);
        return undefined;
      } finally {
        if (client.connections !== connections) seen = 0;
        connections = client.connections;
      }
    };
    while (!this.isStopping) {
      if ((await ask('SET', key, String(++sent))) !== undefined) seen = sent;
      const reply = await ask('GET', key);
      if (reply !== undefined) {
        const value = Number(reply ?? 0);
        this.reads++;
        if (value < seen || value > sent) this.problems.push(`${key}: read ${value} after ${seen}, sent ${sent}`);
        seen = Math.max(seen, value);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  private failed(key: string, error: Error): void {
    if (error instanceof ClerkError || error instanceof ConnectionLost) return;
    if (!(error instanceof ReplyError) || !PASSING.has(error.code)) this.problems.push(`${key}: ${error.message}`);
  }
}

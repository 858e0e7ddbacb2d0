/**
 * Clients that read with the consistency `session` and check what that promises: each reads its own writes, and nothing that
 * it read goes back. Each has a key of its own and counts on it upwards, so that whatever it reads tells which write it saw.
 */
import { type Clerk, ClerkError } from '../../net/client/index.ts';

const PAUSE_MS = 5;

export class SessionLoad {
  readonly problems: string[] = [];
  /** Reads that were answered. */
  reads = 0;
  private isStopping = false;
  private done: Promise<unknown> = Promise.resolve();

  start(clerks: readonly Clerk[]): void {
    this.done = Promise.all(clerks.map((clerk, i) => this.client(clerk, `session:${i}`)));
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.done;
  }

  private async client(clerk: Clerk, key: string): Promise<void> {
    /** The newest value that was acknowledged or read, and the newest that was sent. */
    let seen = 0;
    let sent = 0;
    while (!this.isStopping) {
      try {
        await clerk.put(key, ++sent);
        seen = sent;
      } catch (error) {
        this.failed(key, error as Error);
      }
      try {
        const value = Number((await clerk.get(key)) ?? 0);
        this.reads++;
        if (value < seen || value > sent) this.problems.push(`${key}: read ${value} after ${seen}, sent ${sent}`);
        seen = Math.max(seen, value);
      } catch (error) {
        this.failed(key, error as Error);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  private failed(key: string, error: Error): void {
    if (!(error instanceof ClerkError)) this.problems.push(`${key}: ${error.message}`);
  }
}

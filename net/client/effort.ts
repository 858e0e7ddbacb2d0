/**
 * One command from its call to its end: how long it is tried, and what can be said of it when it ends without an answer. What
 * decides is whether it may have been done: a command that was sent is in doubt until an answer, or a refusal, comes.
 */
import { ClerkError, ReplyError } from './errors.ts';
import type { Kind } from './kinds.ts';
import { isRefusal } from './passing.ts';

export class Effort {
  readonly deadlineMs: number;
  /** Whether it was sent and may have been, or may still be, done. */
  isInDoubt = false;
  /** What the last try met. */
  trouble: Error | undefined = undefined;
  private readonly name: string;
  private readonly kind: Kind;
  private readonly timeoutMs: number;
  private readonly searchTrouble: () => Error | undefined;
  private readonly timer: NodeJS.Timeout;
  private readonly over: Promise<never>;
  private giveUp: (error: Error) => void = () => {};
  private ending: Error | undefined = undefined;

  /** `searchTrouble` tells what the search for a node met last; undefined when none is under way. */
  constructor(name: string, kind: Kind, timeoutMs: number, searchTrouble: () => Error | undefined) {
    this.name = name;
    this.kind = kind;
    this.timeoutMs = timeoutMs;
    this.searchTrouble = searchTrouble;
    this.deadlineMs = performance.now() + timeoutMs;
    this.over = new Promise((_, reject) => {
      this.giveUp = reject;
    });
    // It may end when nobody waits for it.
    this.over.catch(() => {});
    this.timer = setTimeout(() => this.end(this.failure()), timeoutMs);
  }

  /** Rejects when time is over before `work` is. */
  within<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.over]);
  }

  /** Throws when time is over: to be called before the command is sent. */
  check(): void {
    if (this.ending !== undefined) throw this.ending;
  }

  /** Nothing is sent from now on; who waits is told `error`. */
  end(error: Error): void {
    this.ending ??= error;
    clearTimeout(this.timer);
    this.giveUp(this.ending);
  }

  /** The client is being closed. */
  close(): void {
    this.end(this.isUnknown ? this.failure() : new ClerkError('CLOSED', `${this.name}: the client was closed`));
  }

  /** What an error means for this command: a node's refusal says nothing of a try before it. */
  meaning(error: Error): Error {
    return this.isUnknown && error instanceof ReplyError && isRefusal(error) ? this.failure(error) : error;
  }

  /** Why it failed, as far as is known. */
  failure(cause = this.searchTrouble() ?? this.trouble): ClerkError {
    return this.isUnknown
      ? new ClerkError('UNKNOWN_OUTCOME', `${this.name}: sent, but not answered: its outcome is unknown`, cause)
      : new ClerkError('UNAVAILABLE', `${this.name}: no node served it within ${this.timeoutMs} ms`, cause);
  }

  private get isUnknown(): boolean {
    return this.isInDoubt && this.kind !== 'read';
  }
}

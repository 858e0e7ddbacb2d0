/**
 * The settings that connections obey, as plain fields. The configuration writes them, at the start and on CONFIG SET;
 * sessions read them when they need them, so that a change holds from then on. A new `requirePass` must be
 * followed by `clients.passwordChanged()`.
 */
/** The most bytes of one request, whatever client-query-buffer-limit says: what an entry of the log can hold (engine/log/log.ts). */
export const LONGEST_REQUEST = 1024 * 1024 * 1024;

export class ServerLimits {
  /** maxclients */
  maxClients = 10_000;
  /** timeout: seconds after which an idle client is disconnected; 0 = never. */
  idleTimeoutSec = 0;
  /** tcp-keepalive: seconds; 0 = off. */
  keepAliveSec = 300;
  /** proto-max-bulk-len */
  maxBulkBytes = 512 * 1024 * 1024;
  /** client-query-buffer-limit: the most that a connection's unfinished requests may hold. */
  queryBufferBytes = LONGEST_REQUEST;
  /** client-output-buffer-limit normal: unsent bytes that disconnect at once, or after a time; 0 = no limit. */
  outputHardBytes = 0;
  outputSoftBytes = 0;
  outputSoftSec = 0;
  /** requirepass; empty = none. */
  requirePass = '';
  /** protected-mode: without a password, clients of other machines are turned away. */
  protectedMode = false;
  /**
   * While a client has this much unsent output, no more of its requests are run: it does not read, and answering would
   * only fill memory. Large enough that a client which writes a long pipeline before it reads anything does not hang:
   * Redis would keep all its replies. Where client-output-buffer-limit says more, that limit rules.
   */
  unreadOutputBytes = 32 * 1024 * 1024;
  /** How long sessions may work in one turn of the event loop. */
  tickBudgetMs = 4;

  /** Unsent bytes from which on a session's requests wait: never below a limit that is meant to disconnect it. */
  get backpressureBytes(): number {
    if (this.outputHardBytes > 0) return Math.max(this.outputHardBytes, this.outputSoftBytes);
    return Math.max(this.unreadOutputBytes, this.outputSoftBytes);
  }
}

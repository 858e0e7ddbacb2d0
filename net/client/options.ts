/** What a client is made with, and what of it is refused. */

/** How fresh reads are; see `CLIENT CONSISTENCY`. */
export type Consistency = 'linearizable' | 'session' | 'stale' | `bounded ${number}`;

export interface ClerkOptions {
  /** Some of the cluster's nodes as `host:port`: where their clients connect. More are found by themselves when one of them leads. */
  nodes: readonly string[];
  password?: string;
  /**
   * How long a command is tried before it fails: more than 0 and at most 2147483647 ms (24 days), 10 s by default; a node that is
   * silent for a quarter of it, and a second for each MiB of a long request, counts as gone.
   */
  timeoutMs?: number;
  /** Linearizable by default. */
  consistency?: Consistency;
}

/** The longest that a timer of Node can be set to. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Throws a TypeError or a RangeError that names the option. */
export function checkOptions(options: ClerkOptions): void {
  if (typeof options !== 'object' || options === null) throw new TypeError('a clerk takes its options as one object');
  const { nodes, password, timeoutMs, consistency } = options;
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new TypeError('nodes has to be an array of at least one host:port');
  }
  if (password !== undefined && typeof password !== 'string') throw new TypeError('password has to be a string');
  if (timeoutMs !== undefined && typeof timeoutMs !== 'number') throw new TypeError('timeoutMs has to be a number');
  // As a `not`, so that NaN is refused.
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw new RangeError(`timeoutMs has to be more than 0 and at most ${MAX_TIMEOUT_MS}, found ${timeoutMs}`);
  }
  if (consistency !== undefined && !/^(linearizable|session|stale|bounded \d+)$/.test(consistency)) {
    throw new TypeError(`consistency '${consistency}' is none of linearizable, session, stale, bounded <ms>`);
  }
}

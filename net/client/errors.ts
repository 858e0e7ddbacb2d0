/** What goes wrong for users of the client: each error has a `code` to branch on and a message for people. */

/** An error reply of a node: the command has run and failed, or was refused for good. It was not done. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
  /** Its first word: `WRONGTYPE`, `ERR`, `NOAUTH` … */
  readonly code: string;

  constructor(text: string) {
    super(text);
    this.code = text.split(' ', 1)[0];
  }
}

/**
 * - `UNKNOWN_OUTCOME`: a write was sent, and no answer came until the deadline: it was applied once, will be applied once,
 *   or never. Look before doing it again.
 * - `UNAVAILABLE`: no node served the command until the deadline. A write that ends so was not and will not be applied.
 * - `CLOSED`: the client was closed before the command was sent.
 */
export type ClerkErrorCode = 'UNKNOWN_OUTCOME' | 'UNAVAILABLE' | 'CLOSED';

/** A command has ended without an answer. `cause` is what the last try met. */
export class ClerkError extends Error {
  override readonly name = 'ClerkError';
  readonly code: ClerkErrorCode;

  constructor(code: ClerkErrorCode, message: string, cause?: Error) {
    super(cause === undefined ? message : `${message} (last: ${cause.message})`, { cause });
    this.code = code;
  }
}

/** Bytes that are no reply: the connection they came on is given up. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code = 'PROTOCOL';
}

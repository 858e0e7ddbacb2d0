/**
 * What a peer can send that is no message, as errors with a code. All of them mean the same for the connection: it is closed.
 */
export type PeerErrorCode =
  /** The frame is longer than allowed here. */
  | 'TOO_LARGE'
  /** The frame's checksum is another. */
  | 'CHECKSUM'
  /** The bytes are not laid out as the schema says, or a value is none that its field may have. */
  | 'MALFORMED'
  /** A kind of message that this version does not know. */
  | 'UNKNOWN_MESSAGE'
  /** A message in the wrong place, or somebody who does not prove to be one of ours. */
  | 'STRANGER';

export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code: PeerErrorCode;

  constructor(code: PeerErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

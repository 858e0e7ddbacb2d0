/**
 * What can be wrong with RDB bytes, as one typed error: a file of a Redis server, a chunk of a snapshot and a RESTORE
 * payload come from outside, so their mistakes are not ours and never stop a thread. Any thread.
 */

export type RdbErrorCode =
  /** The bytes end in the middle of something. */
  | 'TRUNCATED'
  /** The first bytes are not those of an RDB file. */
  | 'NOT_RDB'
  /** A version that is newer than what can be read. */
  | 'VERSION'
  /** A length, a string's encoding or a compressed string that cannot be. */
  | 'BAD_STRING'
  /** A value that contradicts itself. */
  | 'BAD_VALUE'
  /** A collection without elements. */
  | 'EMPTY_VALUE'
  /** A database beyond those that are configured. */
  | 'BAD_DATABASE'
  /** The same key twice in a database. */
  | 'DUPLICATE_KEY'
  /** A type or opcode that no version up to 11 has. */
  | 'UNKNOWN_TYPE'
  /** Something that only a server with modules, or a release candidate, understands. */
  | 'UNSUPPORTED'
  /** The checksum at the end is another than that of the bytes. */
  | 'CHECKSUM';

export class RdbError extends Error {
  readonly code: RdbErrorCode;
  /** Where in the file, in bytes; in the input's array when there is no file. */
  readonly offset: number;
  /** For TRUNCATED: so many bytes, or more, are wanted from `offset` on. */
  readonly wanted: number;

  constructor(code: RdbErrorCode, offset: number, text: string, wanted = 0) {
    super(`RDB, byte ${offset}: ${text}`);
    this.code = code;
    this.offset = offset;
    this.wanted = wanted;
  }
}

/** Of a file whose keys do not fit into the shards. */
export const NO_ROOM_TEXT = 'its keys find no room. Start with a larger --arena-size, or more --shards';

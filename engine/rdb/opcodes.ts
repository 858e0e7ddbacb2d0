/**
 * The numbers of Redis's RDB format: value types, item opcodes, length and string encodings. For reader and writer alike,
 * from any thread.
 *
 * ```
 * file      "REDIS" + four digits of version | items .. | EOF | crc64 u64 (little-endian, 0 = none; since version 5)
 * item      opcode and its operands, or: type u8 | key string | value
 * length    00nnnnnn                       0..63
 *           01nnnnnn nnnnnnnn              0..16383, big-endian
 *           10000000 u32                   big-endian
 *           10000001 u64                   big-endian
 *           11eeeeee                       not a length: a string in encoding e follows
 * string    length | bytes, or 11eeeeee and what e says
 * ```
 *
 * Worked: `00 01 6B C0 7B` is an item that sets the key "k" (01 6B) to the string "123" (C0: encoding 0, one signed
 * byte, 7B).
 */

/** The version that Redis 7.0 writes, and the newest that is read (7.2). */
export const RDB_VERSION_WRITTEN = 10;
export const RDB_VERSION_NEWEST = 11;

export const RDB_MAGIC = 'REDIS';

// Types of values.
export const RDB_STRING = 0;
export const RDB_LIST = 1;
export const RDB_SET = 2;
/** Scores as text. */
export const RDB_ZSET = 3;
export const RDB_HASH = 4;
/** Scores as eight bytes. */
export const RDB_ZSET_2 = 5;
export const RDB_MODULE_PRE_GA = 6;
export const RDB_MODULE_2 = 7;
export const RDB_HASH_ZIPMAP = 9;
export const RDB_LIST_ZIPLIST = 10;
export const RDB_SET_INTSET = 11;
export const RDB_ZSET_ZIPLIST = 12;
export const RDB_HASH_ZIPLIST = 13;
/** Nodes are ziplists. */
export const RDB_LIST_QUICKLIST = 14;
export const RDB_STREAM_LISTPACKS = 15;
export const RDB_HASH_LISTPACK = 16;
export const RDB_ZSET_LISTPACK = 17;
/** Nodes are listpacks or single plain elements. */
export const RDB_LIST_QUICKLIST_2 = 18;
/** Adds first id, max deleted id, entries added, and a group's entries read. */
export const RDB_STREAM_LISTPACKS_2 = 19;
export const RDB_SET_LISTPACK = 20;
/** Adds a consumer's active time. */
export const RDB_STREAM_LISTPACKS_3 = 21;

/** Whether a number is that of a type, be it one that only a module can read. */
export function isType(type: number): boolean {
  return type <= RDB_STREAM_LISTPACKS_3 && type !== 8;
}

// Items that are no key. Above every type.
export const RDB_OPCODE_FUNCTION_2 = 245;
/** As Redis 7.0's release candidates wrote it. */
export const RDB_OPCODE_FUNCTION_PRE_GA = 246;
export const RDB_OPCODE_MODULE_AUX = 247;
/** Seconds since last use (length), for the key that follows. */
export const RDB_OPCODE_IDLE = 248;
/** Access frequency (u8), for the key that follows. */
export const RDB_OPCODE_FREQ = 249;
/** Two strings. */
export const RDB_OPCODE_AUX = 250;
/** Two lengths: keys, and keys with an expiry, of the database. */
export const RDB_OPCODE_RESIZEDB = 251;
/** i64 little-endian, ms since 1970, for the key that follows. */
export const RDB_OPCODE_EXPIRETIME_MS = 252;
/** i32 little-endian, seconds since 1970, for the key that follows. */
export const RDB_OPCODE_EXPIRETIME = 253;
/** A length: the database of the keys that follow. */
export const RDB_OPCODE_SELECTDB = 254;
export const RDB_OPCODE_EOF = 255;

// The first byte of a length: its two upper bits, or all of it.
export const RDB_LENGTH_6BIT = 0;
export const RDB_LENGTH_14BIT = 1;
export const RDB_LENGTH_ENCODED = 3;
export const RDB_LENGTH_32BIT = 0x80;
export const RDB_LENGTH_64BIT = 0x81;

// The lower six bits of RDB_LENGTH_ENCODED: what the string is.
export const RDB_ENCODING_INT8 = 0;
export const RDB_ENCODING_INT16 = 1;
export const RDB_ENCODING_INT32 = 2;
/** Compressed length, plain length, compressed bytes. */
export const RDB_ENCODING_LZF = 3;

// What a node of RDB_LIST_QUICKLIST_2 holds.
export const RDB_NODE_PLAIN = 1;
export const RDB_NODE_PACKED = 2;

// The parts of what a module writes with RDB_OPCODE_MODULE_AUX; each is a length, then its operand.
export const RDB_MODULE_EOF = 0;
export const RDB_MODULE_SINT = 1;
export const RDB_MODULE_UINT = 2;
/** Four bytes. */
export const RDB_MODULE_FLOAT = 3;
/** Eight bytes. */
export const RDB_MODULE_DOUBLE = 4;
export const RDB_MODULE_STRING = 5;

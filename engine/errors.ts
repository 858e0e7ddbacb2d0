/**
 * Every error text a client can meet, in Redis 7.0's own words: one table, so that a text is written once.
 * The word before the first space is the code that INFO errorstats counts.
 */
export const ERR = {
  WRONGTYPE: 'WRONGTYPE Operation against a key holding the wrong kind of value',
  SYNTAX: 'ERR syntax error',
  NOT_INTEGER: 'ERR value is not an integer or out of range',
  NOT_FLOAT: 'ERR value is not a valid float',
  OUT_OF_RANGE: 'ERR value is out of range',
  NOT_POSITIVE: 'ERR value is out of range, must be positive',
  NO_SUCH_KEY: 'ERR no such key',
  INDEX_OUT_OF_RANGE: 'ERR index out of range',
  OVERFLOW: 'ERR increment or decrement would overflow',
  DECR_OVERFLOW: 'ERR decrement would overflow',
  NAN_OR_INFINITY: 'ERR increment would produce NaN or Infinity',
  DB_INDEX: 'ERR DB index is out of range',
  SAME_OBJECT: 'ERR source and destination objects are the same',
  STRING_TOO_LONG: 'ERR string exceeds maximum allowed size (proto-max-bulk-len)',
  OFFSET_OUT_OF_RANGE: 'ERR offset is out of range',
  NO_AUTH: 'NOAUTH Authentication required.',
  OOM: "OOM command not allowed when used memory > 'maxmemory'.",
  ARENA_FULL: 'OOM the shard of this key is full (its arena has no free page)',
  TIMEOUT_NOT_INTEGER: 'ERR timeout is not an integer or out of range',
  MIN_MAX_FLOAT: 'ERR min or max is not a float',
  MIN_MAX_RANGE: 'ERR min or max not valid string range item',
  VALUE_NAN_OR_INFINITY: 'ERR value is NaN or Infinity',
  HASH_NOT_INTEGER: 'ERR hash value is not an integer',
  HASH_NOT_FLOAT: 'ERR hash value is not a float',
  INVALID_CURSOR: 'ERR invalid cursor',
  NUMKEYS_NOT_POSITIVE: 'ERR numkeys should be greater than 0',
  NUMKEYS_TOO_MANY: "ERR Number of keys can't be greater than number of args",
  COUNT_NOT_POSITIVE: 'ERR count should be greater than 0',
  COUNT_NEGATIVE: "ERR COUNT can't be negative",
  MAXLEN_NEGATIVE: "ERR MAXLEN can't be negative",
  SCORE_NAN: 'ERR resulting score is not a number (NaN)',
  NX_AND_XX: 'ERR XX and NX options at the same time are not compatible',
  GT_LT_NX: 'ERR GT, LT, and/or NX options at the same time are not compatible',
  INCR_ONE_PAIR: 'ERR INCR option supports a single increment-element pair',
  WEIGHT_NOT_FLOAT: 'ERR weight value is not a float',
  LIMIT_NEGATIVE: "ERR LIMIT can't be negative",
  LIMIT_NEEDS_BY: 'ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX',
  WITHSCORES_BYLEX: 'ERR syntax error, WITHSCORES not supported in combination with BYLEX',
  GEO_UNIT: 'ERR unsupported unit provided. please use M, KM, FT, MI',
  GEO_NO_MEMBER: 'ERR could not decode requested zset member',
  GEO_RADIUS: 'ERR need numeric radius',
  GEO_RADIUS_NEGATIVE: 'ERR radius cannot be negative',
  GEO_WIDTH: 'ERR need numeric width',
  GEO_HEIGHT: 'ERR need numeric height',
  GEO_BOX_NEGATIVE: 'ERR height or width cannot be negative',
  GEO_COUNT: 'ERR COUNT must be > 0',
  GEO_ANY: 'ERR the ANY argument requires COUNT argument',
  NOT_NEGATABLE: 'ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807',
  RANK_ZERO:
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
  STREAM_ID: 'ERR Invalid stream ID specified as stream command argument',
  STREAM_ID_ZERO: 'ERR The ID specified in XADD must be greater than 0-0',
  STREAM_ID_NOT_ABOVE: 'ERR The ID specified in XADD is equal or smaller than the target stream top item',
  STREAM_EXHAUSTED: 'ERR The stream has exhausted the last possible ID, unable to add more items',
  STREAM_TOO_LARGE: 'ERR Elements are too large to be stored',
  STREAM_START: 'ERR invalid start ID for the interval',
  STREAM_END: 'ERR invalid end ID for the interval',
  MAXLEN_AND_MINID: 'ERR syntax error, MAXLEN and MINID options at the same time are not compatible',
  TRIM_MAXLEN_NEGATIVE: 'ERR The MAXLEN argument must be >= 0.',
  TRIM_LIMIT_NEGATIVE: 'ERR The LIMIT argument must be >= 0.',
  LIMIT_NEEDS_STRATEGY: 'ERR syntax error, LIMIT cannot be used without specifying a trimming strategy',
  LIMIT_NEEDS_APPROXIMATE: 'ERR syntax error, LIMIT cannot be used without the special ~ option',
  XTRIM_NEEDS_STRATEGY: 'ERR syntax error, XTRIM must be called with a trimming strategy',
  XREAD_UNBALANCED: "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
  XREAD_GROUP: 'ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.',
  XREAD_NOACK: 'ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.',
  XREAD_NEW: 'ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.',
  /** Our own: a nil at once would have clients ask again and again without a pause. */
  XREAD_BLOCK: 'ERR XREAD cannot wait for entries: BLOCK is not supported',
  TIMEOUT_NOT_FLOAT: 'ERR timeout is not a float or out of range',
  UNBLOCKED: 'UNBLOCKED client unblocked via CLIENT UNBLOCK',
  TIMEOUT_NEGATIVE: 'ERR timeout is negative',
  XSETID_ADDED_NEGATIVE: 'ERR entries_added must be positive',
  XSETID_BELOW_GIVEN_DELETED: 'ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id',
  XSETID_BELOW_TOP: 'ERR The ID specified in XSETID is smaller than the target stream top item',
  XSETID_ADDED_BELOW_LENGTH: 'ERR The entries_added specified in XSETID is smaller than the target stream length',
} as const;

export function wrongArity(name: string): string {
  return `ERR wrong number of arguments for '${name}' command`;
}

export function invalidExpire(name: string): string {
  return `ERR invalid expire time in '${name}' command`;
}

export function noInputKey(name: string): string {
  return `ERR at least 1 input key is needed for '${name}' command`;
}

export function invalidPlace(longitude: number, latitude: number): string {
  return `ERR invalid longitude,latitude pair ${sixDecimals(longitude)},${sixDecimals(latitude)}`;
}

/** C's `%f`. */
function sixDecimals(x: number): string {
  if (!Number.isFinite(x)) return x > 0 ? 'inf' : '-inf';
  return Math.abs(x) < 1e21 ? x.toFixed(6) : `${BigInt(x)}.000000`;
}

export function geoStoreWith(what: string): string {
  return `ERR ${what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`;
}

export function geoExactlyOne(options: string, command: string): string {
  return `ERR exactly one of ${options} can be specified for ${command}`;
}

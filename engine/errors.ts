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
  NOT_NEGATABLE: 'ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807',
  RANK_ZERO:
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list",
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

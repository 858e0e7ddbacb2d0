/**
 * What COMMAND INFO tells of commands beyond their rows: how each key argument is found and used, and the hints for
 * clients that spread requests over nodes. Facts of Redis 7.0, by which a client that knows Redis knows us. Grouped
 * by what is the same; a test holds every row against redis-server.
 */

/**
 * Where keys stand and what is done to them; several rules of one command are divided by `|`. A rule is a place and flags.
 * Places: `1` argument 1; `1..-1` from 1 to the last; `1..-1/2` every second of them; `2#` argument 2 is the number of
 * keys behind it; `STREAMS>1..-1/1/2` from behind the word STREAMS, looked for from argument 1 on, the first half of what
 * follows; `?` cannot be told without understanding the command.
 */
export const KEY_RULES: readonly (readonly [rules: string, names: string])[] = [
  [
    '1 RO access',
    'bitcount bitfield_ro bitpos dump expiretime geodist geohash geopos georadius_ro georadiusbymember_ro geosearch get ' +
      'getbit getrange hget hgetall hkeys hmget hrandfield hscan hvals lindex ' +
      'lpos lrange pexpiretime pttl smembers smismember srandmember sscan substr ttl xrange xrevrange zcount zlexcount ' +
      'zmscore zrandmember zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex zrevrangebyscore zrevrank ' +
      'zscan zscore',
  ],
  ['1 RO', 'hexists hlen hstrlen llen scard sismember strlen type xlen zcard'],
  ['1 OW insert', 'setnx'],
  ['1 OW update', 'psetex restore setex'],
  ['1 RW access delete', 'getdel lpop rpop spop zpopmax zpopmin'],
  ['1 RW access update', 'decr decrby getex getset hincrby hincrbyfloat incr incrby incrbyfloat move setbit zincrby'],
  ['1 RW access update variable_flags', 'bitfield set'],
  ['1 RW delete', 'hdel lrem ltrim srem xdel xtrim zrem zremrangebylex zremrangebyrank zremrangebyscore'],
  ['1 RW insert', 'append hsetnx linsert lpush lpushx rpush rpushx sadd'],
  ['1 RW update', 'expire expireat geoadd hmset hset lset persist pexpire pexpireat setrange xadd xsetid zadd'],
  ['1..1 RO access', 'lcs'],
  ['1..-1 RM delete', 'del unlink'],
  ['1..-1 RO', 'exists touch'],
  ['1..-1 RO access', 'mget sdiff sinter sunion'],
  ['1..-2 RW access delete', 'blpop brpop bzpopmax bzpopmin'],
  ['1..-1/2 OW insert', 'msetnx'],
  ['1..-1/2 OW update', 'mset'],
  ['1# RO access', 'sintercard zdiff zinter zintercard zunion'],
  ['1# RW access delete', 'lmpop zmpop'],
  ['2# RW access delete', 'blmpop bzmpop'],
  ['2 RO', 'memory|usage object|encoding object|freq object|idletime object|refcount'],
  ['2 RO access', 'xinfo|consumers xinfo|groups xinfo|stream'],
  ['1 OW update | 2 RO access', 'geosearchstore zrangestore'],
  ['1 RO access | STORE>6 OW update | STOREDIST>6 OW update', 'georadius'],
  ['1 RO access | STORE>5 OW update | STOREDIST>5 OW update', 'georadiusbymember'],
  ['1 OW update | 2# RO access', 'zdiffstore zinterstore zunionstore'],
  ['1 OW update | 2..-1 RO access', 'sdiffstore sunionstore'],
  ['1 RW update | 2..-1 RO access', 'sinterstore'],
  ['2 OW update | 3..-1 RO access', 'bitop'],
  ['1 RO access | 2 OW update', 'copy'],
  ['1 RO access | ? RO access', 'sort_ro'],
  ['1 RO access | ? RO access | ? OW update', 'sort'],
  ['1 RW access delete | 2 OW insert', 'renamenx'],
  ['1 RW access delete | 2 OW update', 'rename'],
  ['1 RW access delete | 2 RW insert', 'blmove brpoplpush lmove rpoplpush smove'],
  ['? RO access', 'read'],
  ['? RW access update', 'once'],
  ['STREAMS>1..-1/1/2 RO access', 'xread'],
];

/** Hints, in the order in which Redis gives them. */
export const TIPS: readonly (readonly [tips: string, names: string])[] = [
  [
    'nondeterministic_output',
    'client|info client|list raft|status cluster|getkeysinslot cluster|info cluster|links cluster|nodes cluster|shards ' +
      'cluster|slots dump hrandfield hscan lastsave object|encoding object|freq object|idletime object|refcount pttl spop ' +
      'srandmember sscan time ttl xadd xinfo|consumers xtrim zrandmember zscan',
  ],
  [
    'nondeterministic_output_order',
    'command command|docs command|info command|list hgetall hkeys hvals module|list sdiff sinter smembers sunion',
  ],
  ['nondeterministic_output request_policy:special', 'scan'],
  [
    'nondeterministic_output request_policy:all_nodes response_policy:special',
    'latency|doctor latency|graph latency|histogram latency|history latency|latest',
  ],
  [
    'nondeterministic_output request_policy:all_shards response_policy:special',
    'info memory|doctor memory|malloc-stats memory|stats',
  ],
  ['request_policy:all_nodes nondeterministic_output', 'slowlog|get'],
  ['request_policy:all_nodes response_policy:agg_sum nondeterministic_output', 'slowlog|len'],
  ['request_policy:all_nodes response_policy:all_succeeded', 'config|set latency|reset slowlog|reset'],
  ['request_policy:all_shards nondeterministic_output', 'randomkey'],
  ['request_policy:all_shards nondeterministic_output_order', 'keys'],
  ['request_policy:all_shards response_policy:agg_min', 'wait'],
  ['request_policy:all_shards response_policy:agg_sum', 'dbsize'],
  ['request_policy:all_shards response_policy:all_succeeded', 'flushall flushdb memory|purge ping'],
  ['request_policy:multi_shard', 'mget'],
  ['request_policy:multi_shard response_policy:agg_min', 'msetnx'],
  ['request_policy:multi_shard response_policy:agg_sum', 'del exists touch unlink'],
  ['request_policy:multi_shard response_policy:all_succeeded', 'mset'],
];

/** Names to what the groups above say of them. */
export function byName(groups: readonly (readonly [text: string, names: string])[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [text, names] of groups) for (const name of names.split(' ')) found.set(name, text);
  return found;
}

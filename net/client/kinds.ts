/**
 * How a command may be tried again when its answer does not come. By name, since the client knows no more of it; a test compares
 * the lists with the server's own table.
 */

/**
 * - `read`: changes nothing: as often as need be.
 * - `write`: as `ONCE`, which the nodes apply once however often it comes. What is not in the lists below counts as this.
 * - `single`: asks or changes the node it reaches, or cannot be done as ONCE: not again once it was sent.
 * - `refused`: belongs to a connection, or holds it up, and connections are shared and come and go here.
 */
export type Kind = 'read' | 'write' | 'single' | 'refused';

const READS = `
  get getrange lcs mget strlen substr bitcount bitfield_ro bitpos getbit exists touch type expiretime pexpiretime pttl ttl
  keys randomkey scan sort_ro dbsize dump object
  lindex llen lpos lrange
  hexists hget hgetall hkeys hlen hmget hrandfield hscan hstrlen hvals
  scard sdiff sinter sintercard sismember smembers smismember srandmember sscan sunion
  zcard zcount zdiff zinter zintercard zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank zrevrange
  zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion
  geodist geohash geopos georadius_ro georadiusbymember_ro geosearch
  xinfo xlen xrange xrevrange
  once read ping echo time info`;

const SINGLE = `
  acl bgrewriteaof bgsave client cluster command config debug lastsave latency lolwut memory module raft readfence role save
  shutdown slowlog spop`;

const REFUSED = `
  asking auth discard exec hello monitor multi psubscribe punsubscribe quit readonly readwrite reset select ssubscribe
  subscribe sunsubscribe unsubscribe unwatch watch
  blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait xread xreadgroup`;

const KINDS = new Map<string, Kind>();
for (const [kind, names] of [
  ['read', READS],
  ['single', SINGLE],
  ['refused', REFUSED],
] as const) {
  for (const name of names.trim().split(/\s+/)) KINDS.set(name, kind);
}

export function kindOf(name: string): Kind {
  return KINDS.get(name.toLowerCase()) ?? 'write';
}

/**
 * One command being run: the request, the reply it writes, the shards it may touch, the clock and the randomness it
 * is given. One per thread, reused for every command. Whoever calls `row.run(call)` holds the locks of the shards of
 * the command's keys.
 *
 * Handlers never read a clock or `Math.random`: `nowMs` and `random` come from the caller, and from the log entry
 * when there is one, so that every replica does the same.
 */

import { isLfuPolicy, lfuClock, lruClock } from './access.ts';
import type { Arena } from './arena.ts';
import type { CommandRow } from './command.ts';
import type { Effect } from './effect.ts';
import { hashBytes, hashKey, keySlot, slotOf } from './hash.ts';
import { Random } from './random.ts';
import { Reply } from './reply.ts';
import { Request } from './request.ts';
import { type Settings, settingIndex } from './settings.ts';
import type { Shards } from './shards.ts';

const MAXMEMORY_POLICY = settingIndex('maxmemory-policy');

export class Call extends Request {
  readonly shards: Shards;
  readonly settings: Settings;
  readonly reply: Reply;
  readonly random = new Random(1);
  row: CommandRow | undefined = undefined;
  db = 0;
  /** The time of this command, ms since 1970. Set by `setClock`. */
  nowMs = 0;
  /** What `access.ts` writes into a record that is touched now: a time, or minutes for the LFU policies. */
  accessClock = 0;
  /** Whether maxmemory-policy counts frequency (LFU) rather than time. */
  lfu = false;
  /** CLIENT NO-TOUCH: lookups leave the access clock alone. */
  noTouch = false;
  /** The arena and table hash of the key last hashed by `hashKey`. */
  arena: Arena;
  hash = 0;
  /** Hash and shard of each key argument that this request has hashed so far (where keyRequest[i] === request). */
  private keyHash = new Int32Array(64);
  private keyShard = new Uint16Array(64);
  private keyRequest = new Int32Array(64);
  private request = 1;
  /** Changes made, counted as Redis counts `rdb_changes_since_last_save`; 0 after a command that changed nothing. */
  dirty = 0;
  /** Where a handler says what is to be logged in its command's place; undefined where no log is kept. */
  effect: Effect | undefined = undefined;
  /**
   * Set by a blocking command that found nothing and has written no reply: how long its client waits, 0 = for ever.
   * -1 after every other command.
   */
  blockMs = -1;
  /** Whether the request has waited and is tried again: keys of a wrong type are then passed over, as in Redis. */
  retried = false;
  /** Whether a command of the log runs again: what limited its client then, and not the data, does not count. */
  isReplay = false;
  /** Whether the thread serves a replica: what a command does depends then on the data alone, and not on how it lies in memory here. */
  isReplica = false;
  /** The client connection, for commands of scope none; only on the main thread. */
  session: unknown = undefined;

  constructor(shards: Shards, settings: Settings, reply = new Reply()) {
    super();
    this.shards = shards;
    this.settings = settings;
    this.reply = reply;
    this.arena = shards.arenas[0];
  }

  /** Sets the time of the commands to come. Once per batch. */
  setClock(nowMs: number): void {
    this.nowMs = nowMs;
    this.lfu = isLfuPolicy(this.settings.f64[MAXMEMORY_POLICY]);
    this.accessClock = this.lfu ? lfuClock(nowMs) : lruClock(nowMs);
  }

  /** Forgets the key hashes of the last request; called once per request, before anything is looked up. */
  begin(row: CommandRow): void {
    this.row = row;
    this.request = (this.request + 1) | 0;
    this.dirty = 0;
    this.blockMs = -1;
    this.retried = false;
    if (this.keyHash.length < this.off.length) this.growKeys();
  }

  private growKeys(): void {
    this.keyHash = new Int32Array(this.off.length);
    this.keyShard = new Uint16Array(this.off.length);
    this.keyRequest = new Int32Array(this.off.length);
  }

  /** Finds the arena and table hash of the key in argument i. Computed once per request, then remembered. */
  hashKey(i: number): void {
    if (this.keyRequest[i] === this.request) {
      this.arena = this.shards.arenas[this.keyShard[i]];
      this.hash = this.keyHash[i];
      return;
    }
    const shards = this.shards;
    this.hash = hashKey(shards.seed0, shards.seed1, this.view, this.off[i], this.len[i]);
    this.arena = shards.arenas[shards.ofSlot[keySlot]];
    this.keyRequest[i] = this.request;
    this.keyShard[i] = this.arena.shard;
    this.keyHash[i] = this.hash;
  }

  /** `hashKey` for a key that is not an argument (SORT's BY and GET patterns). */
  hashKeyAt(buf: Uint8Array, start: number, length: number): void {
    const shards = this.shards;
    this.arena = shards.arenas[shards.ofSlot[slotOf(buf, start, length)]];
    this.hash = hashBytes(shards.seed0, shards.seed1, buf, start, length);
  }
}

/**
 * Loads keys from RDB bytes: the items of a dump.rdb, the chunks of a snapshot, the payload of RESTORE. On a thread that
 * holds the locks of all shards that a key may belong to. A short string costs no object: key and value are copied from the
 * input to the record. It takes about 0.5 microseconds with 64,000 keys and 1.6 with a million, when the table's buckets and
 * records no longer lie in the caches; a third of that is the splitting of buckets while the table grows.
 *
 * ```
 * item   [EXPIRETIME_MS i64 | EXPIRETIME i32] [IDLE length | FREQ u8] type u8 | key | value
 *        SELECTDB length | RESIZEDB length length | AUX string string | FUNCTION_2 string | MODULE_AUX .. | EOF
 * ```
 * Bytes that are no such items, or say what cannot be, throw an RdbError. The keys made before it stay; of the item in
 * which it was found, nothing does.
 */
import { lfuClock, lruClock } from '../access.ts';
import { type Offset, WORD_DATABASES } from '../arena.ts';
import type { Call } from '../call.ts';
import { hashKey, keySlot } from '../hash.ts';
import { reserveKeys, tableOf } from '../keyspace.ts';
import { tableFind } from '../table.ts';
import { NewKey } from './decode-key.ts';
import { ValueDecoder } from './decode-value.ts';
import type { RdbInput } from './input.ts';
import {
  isType,
  RDB_MODULE_DOUBLE,
  RDB_MODULE_EOF,
  RDB_MODULE_FLOAT,
  RDB_MODULE_SINT,
  RDB_MODULE_STRING,
  RDB_MODULE_UINT,
  RDB_OPCODE_AUX,
  RDB_OPCODE_EOF,
  RDB_OPCODE_EXPIRETIME,
  RDB_OPCODE_EXPIRETIME_MS,
  RDB_OPCODE_FREQ,
  RDB_OPCODE_FUNCTION_2,
  RDB_OPCODE_FUNCTION_PRE_GA,
  RDB_OPCODE_IDLE,
  RDB_OPCODE_MODULE_AUX,
  RDB_OPCODE_RESIZEDB,
  RDB_OPCODE_SELECTDB,
} from './opcodes.ts';
import { LoadReport } from './report.ts';
import { RdbString } from './string.ts';

export { LoadReport } from './report.ts';

export interface LoadOptions {
  /** Leave out keys that have expired by the call's clock. */
  dropExpired?: boolean;
  /** Is added to. */
  report?: LoadReport;
  /** How many keys there may be at the most: what RESIZEDB says beyond it is not believed. 0: it is not heeded. */
  mostKeys?: number;
  /** Only keys of the shards [from, to) are loaded: others are loaded by another thread. */
  from?: number;
  to?: number;
}

/**
 * Loads items until the input's end or an EOF opcode, into the databases that they name, first into `c.db`, which is the
 * last named one afterwards. Returns how many keys were made.
 */
export function loadPairs(c: Call, input: RdbInput, options: LoadOptions = {}): number {
  const loader = new ItemLoader(options);
  const { report } = loader;
  const before = report.keys;
  while (!loader.isEnded && input.at < input.end) loader.load(c, input);
  return report.keys - before;
}

const restored = new NewKey();
const restorer = new ValueDecoder();

/**
 * Makes the key in argument i, which is absent, from a value of the RDB type `type`. `expireAtMs` 0: no expiry. A value
 * without elements is an error here.
 */
export function loadValue(c: Call, i: number, type: number, input: RdbInput, expireAtMs: number): void {
  c.hashKey(i);
  restored.name.set(c.buf, c.off[i], c.len[i]);
  restored.argument = i;
  restored.expireAtMs = expireAtMs;
  try {
    if (restorer.make(c, restored, type, input, new LoadReport()) === 0) {
      throw input.error('EMPTY_VALUE', 'a collection without elements');
    }
  } finally {
    restored.name.release();
    restorer.release();
  }
}

/** Loads one item after another. */
export class ItemLoader {
  readonly report: LoadReport;
  /** Whether EOF has been read. */
  isEnded = false;
  private readonly dropExpired: boolean;
  private readonly mostKeys: number;
  private readonly from: number;
  private readonly to: number;
  private readonly key = new NewKey();
  private readonly decoder = new ValueDecoder();
  private readonly name = new RdbString();
  private readonly text = new RdbString();
  /** What was said of the key to come: seconds since its last use, and how often it was used; -1 for nothing. */
  private idleSeconds = -1;
  private frequency = -1;

  constructor(options: LoadOptions) {
    this.report = options.report ?? new LoadReport();
    this.dropExpired = options.dropExpired ?? false;
    this.mostKeys = options.mostKeys ?? 0;
    this.from = options.from ?? 0;
    this.to = options.to ?? Number.POSITIVE_INFINITY;
  }

  /** Loads the next item. When it throws, the place in the input is anywhere. */
  load(c: Call, input: RdbInput): void {
    this.key.expireAtMs = 0;
    this.idleSeconds = -1;
    this.frequency = -1;
    let opcode = input.byte();
    while (opcode >= RDB_OPCODE_IDLE) {
      if (opcode === RDB_OPCODE_EXPIRETIME_MS) this.setExpiry(input.int64());
      else if (opcode === RDB_OPCODE_EXPIRETIME) this.setExpiry(input.int32() * 1000);
      else if (opcode === RDB_OPCODE_IDLE) this.idleSeconds = input.length();
      else if (opcode === RDB_OPCODE_FREQ) this.frequency = input.byte();
      else break;
      opcode = input.byte();
    }
    if (opcode >= RDB_OPCODE_FUNCTION_2) this.other(c, input, opcode);
    else this.pair(c, input, opcode);
    if (this.isEnded || input.at === input.end) this.decoder.release();
  }

  /** A time before 1970 is long past; -1 is how Redis says that there is none. */
  private setExpiry(atMs: number): void {
    this.key.expireAtMs = atMs === -1 || atMs === -1000 ? 0 : Math.max(1, atMs);
  }

  private pair(c: Call, input: RdbInput, type: number): void {
    const { key, report } = this;
    const { name } = key;
    if (!isType(type)) throw unknownType(input, type, name);
    input.string(name);
    if (this.dropExpired && key.expireAtMs !== 0 && key.expireAtMs <= c.nowMs) {
      this.decoder.skip(key, type, input);
      report.expired++;
      return;
    }
    hashName(c, input, name);
    if (c.arena.shard < this.from || c.arena.shard >= this.to) {
      this.decoder.skip(key, type, input);
      report.elsewhere++;
      return;
    }
    const t = tableOf(c.arena, c.db);
    if (t !== 0 && tableFind(c.arena, t, c.hash, name.buf, name.at, name.length) !== 0) {
      throw input.error('DUPLICATE_KEY', `the key ${name.shown()} is there already, in database ${c.db}`);
    }
    const record = this.decoder.make(c, key, type, input, report);
    if (record === 0) {
      report.emptyKeys++;
      return;
    }
    if (this.idleSeconds >= 0 || this.frequency >= 0) this.setAccess(c, record);
    report.keys++;
  }

  /** Sets when or how often the key was used, if that is what the policy in force counts. */
  private setAccess(c: Call, record: Offset): void {
    const word = (record + 4) >>> 2;
    if (c.lfu && this.frequency >= 0) c.arena.u32[word] = lfuClock(c.nowMs) | this.frequency;
    if (!c.lfu && this.idleSeconds >= 0) c.arena.u32[word] = lruClock(c.nowMs - this.idleSeconds * 1000);
  }

  /** Loads an item that is no key. */
  private other(c: Call, input: RdbInput, opcode: number): void {
    switch (opcode) {
      case RDB_OPCODE_EOF:
        this.isEnded = true;
        return;
      case RDB_OPCODE_SELECTDB:
        return this.select(c, input);
      case RDB_OPCODE_RESIZEDB:
        reserveKeys(c.shards.arenas, c.db, Math.min(input.length(), this.mostKeys), this.from, this.to);
        input.length();
        return;
      case RDB_OPCODE_AUX:
        input.string(this.name);
        input.string(this.text);
        this.report.addFact(plainText(this.name), plainText(this.text));
        return;
      case RDB_OPCODE_FUNCTION_2:
        input.skipString();
        this.report.skippedFunctions++;
        return;
      case RDB_OPCODE_FUNCTION_PRE_GA:
        return this.skipOldFunction(input);
      case RDB_OPCODE_MODULE_AUX:
        return this.skipModuleData(input);
      default:
        // The others were read as what precedes a key.
        throw new Error(`rdb: opcode ${opcode}`);
    }
  }

  private select(c: Call, input: RdbInput): void {
    const db = input.length();
    const databases = c.shards.arenas[0].u32[WORD_DATABASES];
    if (db >= databases) {
      throw input.error('BAD_DATABASE', `keys of database ${db}, of ${databases}: start with more --databases`);
    }
    c.db = db;
  }

  /** Name, engine, whether a description follows, the code. */
  private skipOldFunction(input: RdbInput): void {
    input.skipString();
    input.skipString();
    if (input.length() !== 0) input.skipString();
    input.skipString();
    this.report.skippedFunctions++;
  }

  private skipModuleData(input: RdbInput): void {
    input.wide(ignored, 0);
    for (let part = input.length(); part !== RDB_MODULE_EOF; part = input.length()) {
      if (part === RDB_MODULE_SINT || part === RDB_MODULE_UINT) input.wide(ignored, 0);
      else if (part === RDB_MODULE_FLOAT) input.skip(4);
      else if (part === RDB_MODULE_DOUBLE) input.skip(8);
      else if (part === RDB_MODULE_STRING) input.skipString();
      else throw input.error('BAD_VALUE', `data of a module with a part of the unknown kind ${part}`);
    }
    this.report.skippedModuleData++;
  }
}

/** `c.hashKeyAt`, in one pass where the name lies in the input. */
function hashName(c: Call, input: RdbInput, name: RdbString): void {
  if (name.buf !== input.u8) return c.hashKeyAt(name.buf, name.at, name.length);
  const { shards } = c;
  c.hash = hashKey(shards.seed0, shards.seed1, input.view, name.at, name.length);
  c.arena = shards.arenas[shards.ofSlot[keySlot]];
}

const ignored = new Uint32Array(2);

/** What seems to be the key is named if there is one. */
function unknownType(input: RdbInput, type: number, name: RdbString): Error {
  const error = input.error('UNKNOWN_TYPE', `the unknown type or opcode ${type}`);
  try {
    input.string(name);
  } catch {
    return error;
  }
  return input.error('UNKNOWN_TYPE', `the key ${name.shown()} has the unknown type ${type}`);
}

/** One character per byte. */
function plainText(string: RdbString): string {
  let text = '';
  for (let i = 0; i < Math.min(string.length, 1024); i++) text += String.fromCharCode(string.buf[string.at + i]);
  return text;
}

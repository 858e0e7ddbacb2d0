/** Makes a key from a value of any RDB type, or passes over it. Under the shard's lock. */
import type { Offset } from '../arena.ts';
import type { Call } from '../call.ts';
import { makeHash } from './decode-hash.ts';
import { element, type NewKey, partner } from './decode-key.ts';
import { ListBuilder } from './decode-list.ts';
import { makeIntegers, makeSet } from './decode-set.ts';
import { makeStream, skipStream } from './decode-stream.ts';
import { makeString } from './decode-string.ts';
import { makeZset, ScoredElements, skipTextScore } from './decode-zset.ts';
import { type Elements, PlainElements } from './elements.ts';
import { RdbInput } from './input.ts';
import { Intset } from './intset.ts';
import { Listpack } from './listpack.ts';
import {
  RDB_HASH,
  RDB_HASH_LISTPACK,
  RDB_HASH_ZIPLIST,
  RDB_HASH_ZIPMAP,
  RDB_LIST,
  RDB_LIST_QUICKLIST,
  RDB_LIST_QUICKLIST_2,
  RDB_LIST_ZIPLIST,
  RDB_MODULE_2,
  RDB_MODULE_PRE_GA,
  RDB_NODE_PACKED,
  RDB_NODE_PLAIN,
  RDB_SET,
  RDB_SET_INTSET,
  RDB_SET_LISTPACK,
  RDB_STREAM_LISTPACKS,
  RDB_STREAM_LISTPACKS_2,
  RDB_STREAM_LISTPACKS_3,
  RDB_STRING,
  RDB_ZSET,
  RDB_ZSET_2,
  RDB_ZSET_LISTPACK,
  RDB_ZSET_ZIPLIST,
} from './opcodes.ts';
import type { LoadReport } from './report.ts';
import { RdbString } from './string.ts';
import { Ziplist } from './ziplist.ts';
import { Zipmap } from './zipmap.ts';

const SCORE_BYTES = 8;

/** Reads the values of one input after another. */
export class ValueDecoder {
  private readonly value = new RdbString();
  private readonly plain = new PlainElements();
  private readonly listpack = new Listpack();
  private readonly ziplist = new Ziplist();
  private readonly zipmap = new Zipmap();
  private readonly intset = new Intset();
  private readonly scored = new ScoredElements(new RdbInput(new Uint8Array(0)));
  private readonly list = new ListBuilder();

  /**
   * Makes the key from the value of type `type` that comes next. `c.arena` and `c.hash` are the key's, which is absent.
   * Returns its record; 0, with no key made, when the value has no elements. When it throws, no key is made either.
   */
  make(c: Call, key: NewKey, type: number, input: RdbInput, report: LoadReport): Offset {
    switch (type) {
      case RDB_STRING:
        input.string(this.value);
        return makeString(c, key, input, this.value);
      case RDB_LIST:
      case RDB_LIST_ZIPLIST:
      case RDB_LIST_QUICKLIST:
      case RDB_LIST_QUICKLIST_2:
        return this.makeList(c, key, type, input);
      case RDB_SET:
      case RDB_SET_LISTPACK: {
        const members = type === RDB_SET ? this.openPlain(input, 1) : this.openListpack(input);
        return members.count === 0 ? 0 : makeSet(c, key, input, members);
      }
      case RDB_SET_INTSET:
        input.string(this.value);
        this.intset.open(input, this.value);
        return this.intset.count === 0 ? 0 : makeIntegers(c, key, input, this.intset);
      case RDB_ZSET:
      case RDB_ZSET_2:
      case RDB_ZSET_ZIPLIST:
      case RDB_ZSET_LISTPACK:
        return this.makeZset(c, key, type, input);
      case RDB_HASH:
      case RDB_HASH_ZIPMAP:
      case RDB_HASH_ZIPLIST:
      case RDB_HASH_LISTPACK:
        return this.makeHash(c, key, type, input);
      case RDB_STREAM_LISTPACKS:
      case RDB_STREAM_LISTPACKS_2:
      case RDB_STREAM_LISTPACKS_3:
        return makeStream(c, key, type, input, report);
      default:
        throw badType(key, type, input);
    }
  }

  private openPlain(input: RdbInput, parts: number): Elements {
    this.plain.open(input, input.count(parts) * parts);
    return this.plain;
  }

  private openListpack(input: RdbInput): Elements {
    input.string(this.value);
    this.listpack.open(input, this.value);
    return this.listpack;
  }

  private openZiplist(input: RdbInput): Elements {
    input.string(this.value);
    this.ziplist.open(input, this.value);
    return this.ziplist;
  }

  private openZipmap(input: RdbInput): Elements {
    input.string(this.value);
    this.zipmap.open(input, this.value);
    return this.zipmap;
  }

  private makeHash(c: Call, key: NewKey, type: number, input: RdbInput): Offset {
    let elements: Elements;
    if (type === RDB_HASH) elements = this.openPlain(input, 2);
    else if (type === RDB_HASH_LISTPACK) elements = this.openListpack(input);
    else elements = type === RDB_HASH_ZIPLIST ? this.openZiplist(input) : this.openZipmap(input);
    // As Redis does, which makes a zipmap a hash of today's settings.
    const wasPacked = type === RDB_HASH_LISTPACK || type === RDB_HASH_ZIPLIST;
    return elements.count === 0 ? 0 : makeHash(c, key, input, elements, wasPacked);
  }

  private makeZset(c: Call, key: NewKey, type: number, input: RdbInput): Offset {
    const { scored } = this;
    if (type === RDB_ZSET) scored.openPlain(input, type, input.count(2));
    else if (type === RDB_ZSET_2) scored.openPlain(input, type, input.count(1 + SCORE_BYTES));
    else if (type === RDB_ZSET_LISTPACK) scored.openPacked(input, this.openListpack(input));
    else scored.openPacked(input, this.openZiplist(input));
    return scored.count === 0 ? 0 : makeZset(c, key, input, scored);
  }

  private makeList(c: Call, key: NewKey, type: number, input: RdbInput): Offset {
    const { list } = this;
    list.start();
    try {
      if (type === RDB_LIST) this.addElements(c, key, this.openPlain(input, 1));
      else if (type === RDB_LIST_ZIPLIST) this.addElements(c, key, this.openZiplist(input));
      else this.addNodes(c, key, type, input);
      return list.count === 0 ? 0 : list.finish(c, key);
    } catch (error) {
      list.abandon(c);
      throw error;
    }
  }

  private addElements(c: Call, key: NewKey, elements: Elements): void {
    for (let i = 0; i < elements.count; i++) {
      elements.next(element);
      this.list.add(c, key, element);
    }
  }

  private addNodes(c: Call, key: NewKey, type: number, input: RdbInput): void {
    const nodes = input.count(1);
    for (let i = 0; i < nodes; i++) {
      if (type === RDB_LIST_QUICKLIST) {
        this.addElements(c, key, this.openZiplist(input));
        continue;
      }
      const kind = input.length();
      if (kind === RDB_NODE_PACKED) {
        this.addElements(c, key, this.openListpack(input));
      } else if (kind === RDB_NODE_PLAIN) {
        input.string(element);
        this.list.add(c, key, element);
      } else {
        throw input.error('BAD_VALUE', `a list node of the unknown kind ${kind}`);
      }
    }
  }

  /** Passes over a value of type `type` without making anything. */
  skip(key: NewKey, type: number, input: RdbInput): void {
    switch (type) {
      case RDB_STRING:
      case RDB_HASH_ZIPMAP:
      case RDB_HASH_ZIPLIST:
      case RDB_HASH_LISTPACK:
      case RDB_LIST_ZIPLIST:
      case RDB_SET_INTSET:
      case RDB_SET_LISTPACK:
      case RDB_ZSET_ZIPLIST:
      case RDB_ZSET_LISTPACK:
        return input.skipString();
      case RDB_LIST:
      case RDB_SET:
      case RDB_LIST_QUICKLIST:
        for (let left = input.count(1); left > 0; left--) input.skipString();
        return;
      case RDB_HASH:
        for (let left = input.count(2) * 2; left > 0; left--) input.skipString();
        return;
      case RDB_LIST_QUICKLIST_2:
        for (let left = input.count(2); left > 0; left--) {
          input.length();
          input.skipString();
        }
        return;
      case RDB_ZSET:
      case RDB_ZSET_2:
        for (let left = input.count(2); left > 0; left--) {
          input.skipString();
          if (type === RDB_ZSET) skipTextScore(input);
          else input.skip(SCORE_BYTES);
        }
        return;
      case RDB_STREAM_LISTPACKS:
      case RDB_STREAM_LISTPACKS_2:
      case RDB_STREAM_LISTPACKS_3:
        return skipStream(type, input);
      default:
        throw badType(key, type, input);
    }
  }

  /** Lets go of the input's bytes. */
  release(): void {
    this.value.release();
    element.release();
    partner.release();
  }
}

function badType(key: NewKey, type: number, input: RdbInput): Error {
  const name = key.name.shown();
  if (type === RDB_MODULE_PRE_GA || type === RDB_MODULE_2) {
    return input.error(
      'UNSUPPORTED',
      `the key ${name} has type ${type}: the value of a module, which only it can read`,
    );
  }
  return input.error('UNKNOWN_TYPE', `the key ${name} has the unknown type ${type}`);
}

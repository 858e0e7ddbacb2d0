/**
 * Puts together a dump.rdb of version 10, which Redis 7.0 and later load, from items that are bytes already (encode.ts).
 * It writes through a function that it is given and knows no files. One thread; costs the checksum, 2 ns a byte.
 *
 * ```
 * "REDIS0010" | AUX name value .. | SELECTDB db, RESIZEDB keys expiring | items, and SELECTDB before those of another
 * database | EOF | crc64 of all before it, u64
 * ```
 * Items of different databases may come by turns. Nothing is allocated per chunk.
 */
import { Crc64 } from './crc64.ts';
import {
  RDB_MAGIC,
  RDB_OPCODE_AUX,
  RDB_OPCODE_EOF,
  RDB_OPCODE_RESIZEDB,
  RDB_OPCODE_SELECTDB,
  RDB_VERSION_WRITTEN,
} from './opcodes.ts';
import { RdbOutput } from './output.ts';

/** The fact that says which entries of the log a file contains. Other servers pass over facts they do not know. */
export const LOG_INDEX_FACT = 'millrace-log-index';

/** What the file says of the server that wrote it. */
export interface RdbFacts {
  /** The version of Redis whose format this is: servers log it. */
  redisVersion: string;
  /** Seconds since 1970. */
  createdAtSeconds: number;
  usedBytes: number;
  /** The last entry of the log that the file contains; only we read it. */
  logIndex?: number;
}

export class RdbFileWriter {
  /** Bytes written so far. */
  written = 0;
  private readonly write: (bytes: Uint8Array) => void;
  private readonly crc = new Crc64();
  private readonly own = new RdbOutput(new Uint8Array(512));
  /** The database that the next items would belong to, -1 before the first. */
  private db = -1;

  /** `write` takes the bytes before it returns: their memory is used again. */
  constructor(write: (bytes: Uint8Array) => void) {
    this.write = write;
  }

  begin(facts: RdbFacts): void {
    this.own.ascii(RDB_MAGIC + RDB_VERSION_WRITTEN.toString().padStart(4, '0'));
    this.fact('redis-ver', facts.redisVersion);
    this.fact('redis-bits', '64');
    this.fact('ctime', String(facts.createdAtSeconds));
    this.fact('used-mem', String(facts.usedBytes));
    this.fact('aof-base', '0');
    if (facts.logIndex !== undefined) this.fact(LOG_INDEX_FACT, String(facts.logIndex));
    this.flush();
  }

  private fact(name: string, value: string): void {
    this.own.byte(RDB_OPCODE_AUX);
    for (const text of [name, value]) {
      this.own.lengthOf(text.length);
      this.own.ascii(text);
    }
  }

  /** Tells how many keys of a database are to come, and how many of them have an expiry: a loader makes room for them. */
  size(db: number, keys: number, expiring: number): void {
    this.select(db);
    this.own.byte(RDB_OPCODE_RESIZEDB);
    this.own.lengthOf(keys);
    this.own.lengthOf(expiring);
    this.flush();
  }

  /** Items of a database, one behind the other. */
  items(db: number, bytes: Uint8Array): void {
    this.select(db);
    this.flush();
    this.put(bytes);
  }

  /** Ends the file. */
  end(): void {
    this.own.byte(RDB_OPCODE_EOF);
    this.flush();
    this.own.u64(this.crc.high, this.crc.low);
    this.flush();
  }

  private select(db: number): void {
    if (db === this.db) return;
    this.db = db;
    this.own.byte(RDB_OPCODE_SELECTDB);
    this.own.lengthOf(db);
  }

  private flush(): void {
    if (this.own.length > 0) this.put(this.own.u8.subarray(0, this.own.length));
    this.own.length = 0;
  }

  private put(bytes: Uint8Array): void {
    this.crc.update(bytes, 0, bytes.length);
    this.written += bytes.length;
    this.write(bytes);
  }
}

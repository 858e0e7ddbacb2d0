/** Whole RDB files: what they begin and end with, and databases by turns. */
import { describe, expect, it } from 'vitest';
import { Crc64 } from '../../engine/rdb/crc64.ts';
import { LoadReport, loadPairs } from '../../engine/rdb/decode.ts';
import { RdbInput } from '../../engine/rdb/input.ts';
import { RdbFileWriter } from '../../engine/rdb/write.ts';
import { TestEngine } from '../support/engine.ts';

const MAGIC_BYTES = 9;
const CRC_BYTES = 8;

function fileOf(write: (writer: RdbFileWriter) => void): Buffer {
  const parts: Buffer[] = [];
  // The bytes are the writer's again as soon as it goes on.
  const writer = new RdbFileWriter((bytes) => parts.push(Buffer.from(bytes)));
  writer.begin({ redisVersion: '7.0.15', createdAtSeconds: 1_700_000_000, usedBytes: 123_456 });
  write(writer);
  writer.end();
  const file = Buffer.concat(parts);
  expect(writer.written).toBe(file.length);
  return file;
}

/** Items that set these keys to `v`. */
function items(...keys: string[]): Uint8Array {
  return Buffer.concat(keys.map((key) => Buffer.from([0, key.length, ...Buffer.from(key), 1, 118])));
}

describe('an RDB file', () => {
  it('is its header, facts, end and checksum when there is no key', () => {
    const file = fileOf(() => {});
    expect(file.toString('latin1', 0, MAGIC_BYTES)).toBe('REDIS0010');
    const report = new LoadReport();
    const engine = new TestEngine({ shards: 1, arenaBytes: 8 * 1024 * 1024 });
    const input = new RdbInput(file, MAGIC_BYTES, file.length - CRC_BYTES);
    expect(loadPairs(engine.call, input, { report })).toBe(0);
    expect(input.at).toBe(input.end);
    expect([...report.facts]).toEqual([
      ['redis-ver', '7.0.15'],
      ['redis-bits', '64'],
      ['ctime', '1700000000'],
      ['used-mem', '123456'],
      ['aof-base', '0'],
    ]);
    expect(file[file.length - CRC_BYTES - 1]).toBe(255);
    const crc = new Crc64();
    crc.update(file, 0, file.length - CRC_BYTES);
    expect(file.readInt32LE(file.length - 8)).toBe(crc.low);
    expect(file.readInt32LE(file.length - 4)).toBe(crc.high);
  });

  it('names a database when it changes', () => {
    const empty = fileOf(() => {});
    const file = fileOf((writer) => {
      writer.size(0, 3, 0);
      writer.size(5, 70, 1);
      writer.items(0, items('a'));
      writer.items(0, items('b'));
      writer.items(5, items('a', 'c'));
      writer.items(0, items('d'));
    });
    const body = file.toString('hex', empty.length - CRC_BYTES - 1, file.length - CRC_BYTES);
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((key) => Buffer.from(items(key)).toString('hex'));
    expect(body).toBe(`fe00fb0300fe05fb404601fe00${a}${b}fe05${a}${c}fe00${d}ff`);
  });
});

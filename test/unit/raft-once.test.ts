/** The table of clients that ask for things once: what it answers, what it drops, its bytes; and against a dumb model. */
import { describe, expect, it } from 'vitest';
import {
  CLIENTS,
  ONCE_DONE,
  ONCE_EXPIRED,
  ONCE_NEW,
  ONCE_STALE,
  OnceTable,
  REPLY_BYTES,
  SESSION_MS,
} from '../../engine/raft/once.ts';
import { seeded } from '../support/seeded.ts';

function check(table: OnceTable, client: string, seq: number): number {
  const bytes = Buffer.from(`..${client}`, 'latin1');
  return table.check(bytes, 2, bytes.length - 2, seq);
}

function record(table: OnceTable, client: string, seq: number, reply: string | Uint8Array, nowMs = 0): void {
  const bytes = Buffer.from(`.${client}`, 'latin1');
  const body = typeof reply === 'string' ? Buffer.from(reply, 'latin1') : reply;
  const text = Buffer.concat([Buffer.from('-'), body, Buffer.from('-')]);
  table.record(bytes, 1, bytes.length - 1, seq, text, 1, text.length - 1, 2, nowMs);
  text.fill(0);
}

function replyTo(table: OnceTable, client: string, seq: number): string {
  expect(check(table, client, seq)).toBe(ONCE_DONE);
  return Buffer.from(table.reply).toString('latin1');
}

/** The same in every respect that can be seen. */
function expectSame(table: OnceTable, other: OnceTable): void {
  expect(Buffer.from(other.encode()).equals(table.encode())).toBe(true);
  expect([other.hash(), other.clients, other.bytes]).toEqual([table.hash(), table.clients, table.bytes]);
}

describe('what is run', () => {
  it('a client begins with 1 and may then leave numbers out', () => {
    const table = new OnceTable();
    expect([check(table, 'a', 2), check(table, 'a', 1)]).toEqual([ONCE_EXPIRED, ONCE_NEW]);
    record(table, 'a', 1, '+OK');
    expect([check(table, 'a', 2), check(table, 'a', 9), check(table, 'b', 2)]).toEqual([
      ONCE_NEW,
      ONCE_NEW,
      ONCE_EXPIRED,
    ]);
    record(table, 'a', 9, ':9');
    expect([1, 2, 8, 9, 10].map((seq) => check(table, 'a', seq))).toEqual([
      ONCE_STALE,
      ONCE_STALE,
      ONCE_STALE,
      ONCE_DONE,
      ONCE_NEW,
    ]);
  });

  it('what was run is answered as it was', () => {
    const table = new OnceTable();
    record(table, 'a', 1, 'first');
    record(table, 'b\xff\x00', 1, '\x00\xff');
    record(table, 'a', 2, '');
    const bytes = Buffer.from('c');
    table.record(bytes, 0, 1, 1, Buffer.from('_\r\n'), 0, 3, 3, 0);
    expect([replyTo(table, 'a', 2), table.replyProtocol]).toEqual(['', 2]);
    expect([replyTo(table, 'b\xff\x00', 1), replyTo(table, 'c', 1), table.replyProtocol]).toEqual([
      '\x00\xff',
      '_\r\n',
      3,
    ]);
  });

  it('nothing is recorded twice', () => {
    const table = new OnceTable();
    expect(() => record(table, 'a', 2, '')).toThrow('begins with 1');
    record(table, 'a', 1, '');
    expect(() => record(table, 'a', 1, '')).toThrow('once');
  });
});

describe('what is dropped', () => {
  it('clients not heard of for an hour, whatever they asked again', () => {
    const table = new OnceTable();
    record(table, 'a', 1, '+OK', 1000);
    record(table, 'b', 1, '+OK', 1001);
    record(table, 'a', 2, '+OK', 1002);
    table.age(1001 + SESSION_MS - 1);
    expect([check(table, 'b', 1), table.clients]).toEqual([ONCE_DONE, 2]);
    table.age(1001 + SESSION_MS);
    expect([check(table, 'b', 2), check(table, 'a', 2), table.clients]).toEqual([ONCE_EXPIRED, ONCE_DONE, 1]);
    record(table, 'c', 1, '+OK', 1002 + SESSION_MS);
    expect([check(table, 'a', 2), table.clients]).toEqual([ONCE_EXPIRED, 1]);
    table.age(1e15);
    expect([table.clients, table.bytes]).toEqual([0, 0]);
  });

  it('the oldest of too many clients', () => {
    const table = new OnceTable();
    for (let i = 0; i < CLIENTS; i++) record(table, `c${i}`, 1, '+OK', i);
    record(table, 'c0', 2, '+OK', CLIENTS);
    record(table, 'new', 1, '+OK', CLIENTS);
    expect(['c0', 'c1', 'c2', 'new'].map((client) => check(table, client, 2))).toEqual([
      ONCE_DONE,
      ONCE_EXPIRED,
      ONCE_NEW,
      ONCE_NEW,
    ]);
    expect(table.clients).toBe(CLIENTS);
  });

  it('the oldest replies when they are too long together, but not their clients', () => {
    const table = new OnceTable();
    const quarter = new Uint8Array(REPLY_BYTES / 4 - 1);
    for (const client of 'abcd') record(table, client, 1, quarter);
    expect(table.bytes).toBe(REPLY_BYTES);
    record(table, 'a', 2, quarter);
    expect(replyTo(table, 'b', 1)).toHaveLength(quarter.length);
    record(table, 'e', 1, '');
    expect([...'abcde'].map((client) => check(table, client, 1))).toEqual([
      ONCE_STALE,
      ONCE_STALE,
      ONCE_DONE,
      ONCE_DONE,
      ONCE_DONE,
    ]);
    expect(check(table, 'b', 2)).toBe(ONCE_NEW);
    const loaded = OnceTable.decode(table.encode());
    for (const t of [table, loaded]) {
      record(t, 'b', 2, quarter);
      record(t, 'f', 1, '12');
    }
    expect([check(table, 'c', 1), check(table, 'd', 1), table.clients]).toEqual([ONCE_STALE, ONCE_DONE, 6]);
    expectSame(table, loaded);
  });

  it('a reply that is too long for any table', () => {
    const table = new OnceTable();
    record(table, 'a', 1, '+OK');
    record(table, 'b', 1, new Uint8Array(REPLY_BYTES + 1));
    expect([check(table, 'a', 1), check(table, 'b', 1), check(table, 'b', 2)]).toEqual([
      ONCE_DONE,
      ONCE_STALE,
      ONCE_NEW,
    ]);
  });
});

describe('as bytes', () => {
  it('drawn in the file', () => {
    const table = new OnceTable();
    record(table, 'a', 1, '+', 2);
    const bytes = table.encode();
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '0100000001000000' + '0100000001000000000000000000f03f000000000000004002612b',
    );
    const loaded = OnceTable.decode(bytes);
    bytes.fill(0);
    expect(replyTo(loaded, 'a', 1)).toBe('+');
    expectSame(table, loaded);
    expectSame(new OnceTable(), OnceTable.decode(new OnceTable().encode()));
  });

  it('damaged bytes are told from whole ones', () => {
    const table = new OnceTable();
    record(table, 'a', 1, '+', 2);
    record(table, 'b', 1, '+', 3);
    const bytes = table.encode();
    const bad = expect.objectContaining({ code: 'RAFT_BAD_ONCE' });
    for (let cut = 0; cut < bytes.length; cut++) expect(() => OnceTable.decode(bytes.slice(0, cut))).toThrow(bad);
    // The version, the count, lengths, a seq of 0.5, a time that falls, the protocol, an id twice.
    for (const [at, value] of [
      [0, 2],
      [4, 1],
      [4, 3],
      [8, 2],
      [12, 0],
      [15, 9],
      [23, 0x3e],
      [31, 0x41],
      [32, 1],
      [60, 0x61],
    ]) {
      const damaged = Buffer.from(bytes);
      damaged[at] = value;
      expect(() => OnceTable.decode(damaged), `byte ${at}`).toThrow(bad);
    }
    expect(() => OnceTable.decode(Buffer.concat([bytes, bytes]))).toThrow(bad);
  });
});

it('does what a plain list of clients would, also when loaded in between', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    let table = new OnceTable();
    let model: { id: string; seq: number; reply: string; usedMs: number }[] = [];
    let nowMs = 1e12;
    for (let i = 0; i < 400; i++) {
      nowMs += random.below(10) === 0 ? random.below(SESSION_MS) : random.below(1000);
      const id = `client-${random.below(12)}`;
      const known = model.find((client) => client.id === id);
      const seq = Math.max(1, (known?.seq ?? 0) + random.below(4) - 1);
      const want =
        known === undefined
          ? seq === 1
            ? ONCE_NEW
            : ONCE_EXPIRED
          : seq === known.seq
            ? ONCE_DONE
            : seq < known.seq
              ? ONCE_STALE
              : ONCE_NEW;
      expect(check(table, id, seq), `seed ${seed}, step ${i}`).toBe(want);
      if (want === ONCE_DONE) expect(replyTo(table, id, seq)).toBe(known?.reply);
      if (want === ONCE_NEW) {
        const reply = `${seed} ${i}`;
        record(table, id, seq, reply, nowMs);
        model = [...model.filter((client) => client !== known), { id, seq, reply, usedMs: nowMs }];
      } else {
        table.age(nowMs);
      }
      model = model.filter((client) => client.usedMs + SESSION_MS > nowMs);
      expect(table.clients).toBe(model.length);
      expect(table.bytes).toBe(model.reduce((sum, client) => sum + client.id.length + client.reply.length, 0));
      if (random.below(50) === 0) {
        const loaded = OnceTable.decode(table.encode());
        expectSame(table, loaded);
        table = loaded;
      }
    }
  }
});

it('its hash tells apart what differs', () => {
  const hashes = new Set<string>();
  const steps: ((table: OnceTable) => void)[] = [
    () => {},
    (table) => record(table, 'a', 2, 'x', 5),
    (table) => record(table, 'a', 2, 'y', 5),
    (table) => record(table, 'a', 3, 'x', 5),
    (table) => record(table, 'a', 2, 'x', 6),
    (table) => record(table, 'b', 2, 'x', 5),
    (table) => record(table, 'c', 1, 'x', 5),
  ];
  for (const step of steps) {
    const table = new OnceTable();
    record(table, 'a', 1, '+OK', 1);
    record(table, 'b', 1, '+OK', 1);
    step(table);
    expect(table.hash()).toMatch(/^[0-9a-f]{16}$/);
    hashes.add(table.hash());
  }
  expect(hashes.size).toBe(steps.length);
});

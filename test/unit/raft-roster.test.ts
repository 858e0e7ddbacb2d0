/** Where replicas are: what a roster answers, and its bytes. */
import { describe, expect, it } from 'vitest';
import { isMember, type Member, Roster } from '../../engine/raft/roster.ts';

function member(replica: number, change: Partial<Member> = {}): Member {
  return { replica, nodeId: `id${replica}`, name: `n${replica}`, host: '::1', peerPort: 7, clientPort: 9, ...change };
}

describe('what it answers', () => {
  it('members by replica, ascending, and by name', () => {
    const roster = new Roster([member(10), member(2)]);
    roster.set(member(3));
    expect(roster.all()).toEqual([member(2), member(3), member(10)]);
    expect([roster.get(3), roster.get(4)]).toEqual([member(3), undefined]);
    expect([roster.byName('n10'), roster.byName('n4')]).toEqual([member(10), undefined]);
    roster.remove(3);
    roster.remove(4);
    expect([roster.all(), roster.get(3)]).toEqual([[member(2), member(10)], undefined]);
  });

  it('what was said last of a replica, and the newest replica of a name', () => {
    const roster = new Roster([member(1), member(2)]);
    const moved = member(1, { host: 'elsewhere', peerPort: 8 });
    roster.set(moved);
    expect(roster.all()).toEqual([moved, member(2)]);
    roster.set(member(4, { name: 'n1' }));
    expect(roster.byName('n1')?.replica).toBe(4);
    roster.remove(4);
    expect(roster.byName('n1')?.replica).toBe(1);
  });

  it('a list that a reader has stays as it is', () => {
    const roster = new Roster([member(1)]);
    const seen = roster.all();
    roster.set(member(2));
    roster.set(member(1, { host: 'elsewhere' }));
    roster.remove(1);
    expect(seen).toEqual([member(1)]);
  });

  it('nothing that it cannot hold', () => {
    const unfit: Partial<Member>[] = [
      { replica: 0 },
      { replica: 2 ** 32 },
      { replica: 1.5 },
      { peerPort: -1 },
      { peerPort: 65536 },
      { clientPort: 65536 },
      { clientPort: 0.5 },
      { nodeId: 'x'.repeat(241) },
      { name: 'ü'.repeat(121) },
      { host: 'x'.repeat(241) },
    ];
    for (const change of unfit) {
      expect(isMember(member(1, change)), JSON.stringify(change)).toBe(false);
      expect(() => new Roster([member(1, change)])).toThrow();
    }
    expect(isMember(member(2 ** 32 - 1, { clientPort: 65535, name: 'ü'.repeat(120) }))).toBe(true);
  });
});

describe('as bytes', () => {
  it('drawn in the file', () => {
    const only = { replica: 2, nodeId: 'x', name: 'n2', host: 'h', peerPort: 7001, clientPort: 6379 };
    expect(Buffer.from(new Roster([only]).encode()).toString('hex')).toBe(
      '0100000001000000' + '02000000591beb1801000200010078' + '6e3268',
    );
  });

  it('come back the same, and do not depend on how the roster came about', () => {
    const texts = member(2 ** 32 - 1, {
      nodeId: '',
      name: 'ünø 七',
      host: 'x'.repeat(240),
      peerPort: 65535,
      clientPort: 0,
    });
    const roster = new Roster([member(7), texts, member(1)]);
    const other = new Roster([member(1, { host: 'before' }), member(3), member(1), texts, member(7)]);
    other.remove(3);
    const moved = Buffer.concat([Buffer.from('..'), roster.encode()]).subarray(2);
    expect(Roster.decode(moved).all()).toEqual(roster.all());
    expect(other.encode()).toEqual(roster.encode());
    expect(Roster.decode(new Roster().encode()).all()).toEqual([]);
  });

  it('damaged bytes are told from whole ones', () => {
    const bytes = new Roster([member(1), member(2)]).encode();
    const bad = expect.objectContaining({ code: 'RAFT_BAD_ROSTER' });
    for (let cut = 0; cut < bytes.length; cut++) {
      expect(() => Roster.decode(bytes.slice(0, cut))).toThrow(bad);
      expect(() => Roster.decode(bytes.slice(0, cut))).toThrow(cut < 8 ? 'not a roster' : 'cut short');
    }
    // The version, the count, a replica of 0, one that does not ascend, lengths.
    for (const [at, value] of [
      [0, 2],
      [4, 1],
      [4, 3],
      [8, 0],
      [8, 2],
      [16, 9],
      [17, 255],
    ]) {
      const damaged = Buffer.from(bytes);
      damaged[at] = value;
      expect(() => Roster.decode(damaged), `byte ${at}`).toThrow(bad);
    }
    const long = Buffer.concat([bytes, Buffer.alloc(2000)]);
    expect(() => Roster.decode(long)).toThrow(bad);
    // The second host is then as long as the rest of the bytes, and that is too long.
    long.writeUInt16LE(2003, 8 + 22 + 12);
    expect(() => Roster.decode(long)).toThrow(bad);
  });
});

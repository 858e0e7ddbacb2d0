import { describe, expect, it } from 'vitest';
import { hasBase, markBase } from '../../engine/log/base.ts';
import { LogError } from '../../engine/log/errors.ts';
import { applyRepair, planRepair } from '../../engine/log/repair.ts';
import { PowerLoss, SimDisk } from '../sim/simdisk.ts';
import { put, reopen } from '../support/log.ts';
import { seeded } from '../support/seeded.ts';

const DIR = '/log';
const SMALL = { segmentBytes: 8 * 1024, reserveBytes: 4096 };

function path(segment: number): string {
  return `${DIR}/${String(segment).padStart(16, '0')}.log`;
}

/** Thirty entries of 1,000 bytes, four to a segment; closed. */
function filled(): SimDisk {
  const disk = new SimDisk(seeded(1));
  const { log } = reopen(disk, DIR, SMALL);
  for (let i = 1; i <= 30; i++) {
    put(log, i, String(i).padStart(900, '.'));
    log.sync();
  }
  log.close();
  return disk;
}

function damage(disk: SimDisk, segment: number, offset: number): void {
  const bytes = disk.contents(path(segment)).slice();
  bytes[offset] ^= 0x10;
  disk.place(path(segment), bytes);
}

function refusal(disk: SimDisk): LogError {
  try {
    reopen(disk, DIR, SMALL);
  } catch (error) {
    if (error instanceof LogError) return error;
  }
  throw new Error('it was not refused');
}

function indexes(disk: SimDisk): number[] {
  return reopen(disk, DIR, SMALL).records.map(({ index }) => index);
}

function run(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

describe('repair', () => {
  it('finds nothing to do in a whole log', () => {
    const disk = filled();
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({ damage: undefined, torn: undefined, aside: [], lost: [], lostBytes: 0 });
    expect(plan.text).toContain('nothing to repair');
    applyRepair(disk, plan);
    expect(indexes(disk)).toEqual(run(1, 30));
  });

  it('keeps what is before a damaged record', () => {
    const disk = filled();
    damage(disk, 2, 4096 + 944 + 100);
    const error = refusal(disk);
    expect(error).toMatchObject({ code: 'CORRUPT', file: path(2), offset: 4096 + 944 });
    expect(error.message).toContain('--repair');
    const whole = disk.contents(path(2)).slice();
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({
      damage: { file: path(2), offset: 4096 + 944 },
      cut: { segment: 2, offset: 4096 + 944 },
      aside: [8, 7, 6, 5, 4, 3],
      lost: [{ group: 0, from: 6, to: 30 }],
      lostRecords: 24,
      unreadableBytes: 944,
      lostBytes: 25 * 944,
    });
    expect(plan.text).toContain('entries 6 to 30 of group 0');
    // Planning changes nothing.
    expect(disk.contents(path(2))).toEqual(whole);
    applyRepair(disk, plan);
    expect(disk.contents(`${path(2)}.damaged`)).toEqual(whole);
    expect(disk.list(DIR).filter((name) => name.endsWith('.damaged'))).toHaveLength(7);
    const { log, records } = reopen(disk, DIR, SMALL);
    expect(records.map(({ index }) => index)).toEqual(run(1, 5));
    put(log, 6, 'goes on');
    log.close();
    // A second one does not write over what the first has kept.
    damage(disk, 2, 4096 + 100);
    applyRepair(disk, planRepair(disk, DIR));
    expect(indexes(disk)).toEqual(run(1, 4));
    expect(disk.contents(`${path(2)}.damaged`)).toEqual(whole);
    expect(disk.list(DIR)).toContain('0000000000000002.log.2.damaged');
  });

  it('leaves a log that can begin anew when its first segment is damaged', () => {
    const disk = filled();
    markBase(disk, DIR);
    damage(disk, 1, 30);
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({ cut: undefined, aside: [8, 7, 6, 5, 4, 3, 2, 1] });
    applyRepair(disk, plan);
    expect(hasBase(disk, DIR)).toBe(false);
    expect(indexes(disk)).toEqual([]);
  });

  it('counts entries as lost whose replacements are', () => {
    const disk = filled();
    const { log } = reopen(disk, DIR, SMALL);
    put(log, 10, 'replaced');
    put(log, 11, 'replaced');
    log.close();
    damage(disk, 9, 4096 + 45);
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({
      cut: { segment: 9, offset: 4096 },
      lost: [{ group: 0, from: 11, to: 11 }],
      lostRecords: 1,
    });
  });

  it.each([
    ['the last is empty', 8, 0, { file: path(8), offset: 0 }, 29],
    ['the last is cut to its header', 8, 4096, { file: path(8), offset: 4096 }, 29],
    ['the last is cut between two records', 8, 4096 + 944, { file: path(8), offset: 4096 + 944 }, 30],
    ['one in the middle is empty', 3, 0, undefined, 9],
    ['one in the middle is cut between two records', 3, 4096 + 944, undefined, 10],
  ])('does not take what is absent for nothing: %s', (_, segment, length, unknown, next) => {
    const disk = filled();
    disk.place(path(segment), disk.contents(path(segment)).slice(0, length));
    refusal(disk);
    // The snapshot has what the log has lost up to its last segment, and nobody can say that there was no more.
    const plan = planRepair(disk, DIR, new Map([[0, 8]]));
    expect(plan).toMatchObject({ isCovered: false, unknown });
    expect(plan.lost).toEqual(unknown === undefined ? [{ group: 0, from: next, to: 30 }] : []);
    expect(plan.text).not.toContain('a snapshot covers');
    if (unknown !== undefined) {
      expect(plan.text).toContain(
        `lost:\n- unknown: what the log had behind offset ${unknown.offset} of ${unknown.file}`,
      );
    }
    applyRepair(disk, plan);
    expect(indexes(disk)).toEqual(run(1, next - 1));
  });

  it('does not take zeros for nothing', () => {
    const disk = filled();
    const bytes = disk
      .contents(path(8))
      .slice()
      .fill(0, 4096 + 944);
    disk.place(path(8), bytes);
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({ isCovered: false, lostBytes: 0, unknown: { file: path(8), offset: 4096 + 944 } });
  });

  it('keeps all records of a segment whose seal is damaged', () => {
    const disk = filled();
    damage(disk, 8, 530);
    refusal(disk);
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({ aside: [], lost: [], lostBytes: 0, lostRecords: 0, isCovered: false });
    expect(plan.text).toContain('lost:\n- unknown: ');
    applyRepair(disk, plan);
    expect(indexes(disk)).toEqual(run(1, 30));
  });

  it('puts a segment aside whose header is damaged, and names a missing one', () => {
    const disk = filled();
    damage(disk, 3, 30);
    expect(refusal(disk)).toMatchObject({ code: 'CORRUPT', file: path(3) });
    expect(planRepair(disk, DIR)).toMatchObject({
      cut: undefined,
      aside: [8, 7, 6, 5, 4, 3],
      lost: [{ from: 9, to: 30 }],
    });
    disk.unlink(path(3));
    expect(refusal(disk).message).toContain('segment 3 is missing');
    const plan = planRepair(disk, DIR);
    expect(plan).toMatchObject({ aside: [8, 7, 6, 5, 4], lost: [{ from: 9, to: 30 }], lostRecords: 18 });
    applyRepair(disk, plan);
    expect(indexes(disk)).toEqual(run(1, 8));
  });

  it('refuses a segment of another log or out of place', () => {
    const disk = filled();
    const other = filled();
    disk.place(path(3), other.contents(path(3)).slice());
    expect(refusal(disk).message).toContain('another log');
    const again = filled();
    again.place(path(3), again.contents(path(4)).slice());
    expect(refusal(again).message).toContain('that of segment 4');
    // The format's version is told apart from a changed bit.
    const newer = filled();
    damage(newer, 1, 8);
    expect(refusal(newer).code).toBe('CORRUPT');
    const bytes = newer.contents(path(1)).slice();
    bytes[8] = 2;
    bytes[40] = 1;
    newer.place(path(1), bytes);
    expect(refusal(newer).code).toBe('VERSION');
    expect(() => planRepair(newer, DIR)).toThrow(expect.objectContaining({ code: 'VERSION' }));
  });

  it('drops the damaged part where a snapshot covers it', () => {
    const disk = filled();
    damage(disk, 2, 4096 + 944 + 100);
    // Segment 3 begins behind entry 8.
    expect(planRepair(disk, DIR, new Map([[0, 7]])).lost).toHaveLength(1);
    const plan = planRepair(disk, DIR, new Map([[0, 8]]));
    expect(plan).toMatchObject({ cut: undefined, aside: [1, 2], lost: [], lostBytes: 0, isCovered: true });
    expect(plan.text).toContain('nothing: a snapshot covers');
    applyRepair(disk, plan);
    expect(indexes(disk)).toEqual(run(9, 30));
  });

  it('may be interrupted anywhere', () => {
    for (let step = 1; ; step++) {
      const disk = filled();
      damage(disk, 2, 4096 + 944 + 100);
      const plan = planRepair(disk, DIR);
      disk.failAt(disk.steps + step, 'crash');
      let isDone = true;
      try {
        applyRepair(disk, plan);
      } catch (error) {
        if (!(error instanceof PowerLoss)) throw error;
        isDone = false;
      }
      disk.crash(step % 2 === 0 ? 'torn' : 'unsynced');
      applyRepair(disk, planRepair(disk, DIR));
      expect(indexes(disk)).toEqual(run(1, 5));
      expect(disk.list(DIR).filter((name) => name.endsWith('.damaged')).length).toBeGreaterThanOrEqual(7);
      if (isDone) {
        expect(step).toBeGreaterThan(20);
        return;
      }
    }
  });
});

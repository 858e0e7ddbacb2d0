import { expect, it } from 'vitest';
import { cutEverywhere, flipEverywhere, makeSpecimen, openDamaged } from '../support/damage.ts';

/** The full run cuts at every byte of 64 KiB and flips every bit of 16 KiB, records and header. */
const IS_FULL = process.env.MILLRACE_ROUNDS !== undefined;
const FLIP_BYTES = IS_FULL ? 16 * 1024 : 1000;
const CUT_BYTES = IS_FULL ? 64 * 1024 : 1000;

it('is whole before anything is damaged', () => {
  for (const isClosed of [true, false]) {
    const specimen = makeSpecimen(16 * 1024, isClosed);
    const found = openDamaged(specimen, specimen.bytes)!;
    expect(found.torn).toBeUndefined();
    expect(found.records.map(({ payload }) => payload)).toEqual(specimen.payloads);
  }
});

it('cut anywhere, keeps a run of the records or is refused', () => {
  const open = makeSpecimen(70 * 1024, false);
  const whole = cutEverywhere(open, open.end - CUT_BYTES, open.end);
  expect(whole).toEqual({ cut: CUT_BYTES, refused: 0 });
  // After a clean stop nothing may be missing.
  const closed = makeSpecimen(70 * 1024, true);
  expect(cutEverywhere(closed, closed.end - CUT_BYTES, closed.end)).toEqual({ cut: 0, refused: CUT_BYTES });
  // A header that is cut is no header.
  expect(cutEverywhere(open, 0, open.from)).toEqual({ cut: 0, refused: open.from });
}, 3_600_000);

it('with any bit flipped, keeps the records before it or is refused', () => {
  const open = makeSpecimen(16 * 1024, false);
  const last = flipEverywhere(open, open.end - FLIP_BYTES, open.end);
  expect(last.cut + last.refused).toBe(FLIP_BYTES * 8);
  expect(last.cut).toBeGreaterThan(0);
  expect(last.refused).toBeGreaterThan(0);
  const header = flipEverywhere(open, 0, IS_FULL ? open.from : 1100);
  expect(header.cut).toBe(0);
}, 3_600_000);

it('after a clean stop, is refused with any bit flipped', () => {
  const closed = makeSpecimen(16 * 1024, true);
  const bytes = IS_FULL ? FLIP_BYTES : 300;
  expect(flipEverywhere(closed, closed.end - bytes, closed.end)).toEqual({ cut: 0, refused: bytes * 8 });
  const header = IS_FULL ? closed.from : 1100;
  expect(flipEverywhere(closed, 0, header)).toEqual({ cut: 0, refused: header * 8 });
}, 3_600_000);

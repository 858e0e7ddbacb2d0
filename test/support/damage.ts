/** Damages a log file in every way of a kind, and checks that it is refused or read up to the damage. */
import { LogError } from '../../engine/log/errors.ts';
import { openLog } from '../../engine/log/recover.ts';
import { SimDisk } from '../sim/simdisk.ts';
import { type Found, put, readAll, reopen } from './log.ts';
import { seeded } from './seeded.ts';

/** A log of one segment of about `bytes`, for damaging it: what the file holds, and every payload in it. */
export interface Specimen {
  path: string;
  bytes: Uint8Array;
  payloads: string[];
  /** Where its records begin and end. */
  from: number;
  end: number;
  /** How many of the payloads the file itself proves to have been synced. */
  proven: number;
}

const DIRECTORY = '/log';
const OPTIONS = { segmentBytes: 96 * 1024, reserveBytes: 4096 };

export function makeSpecimen(bytes: number, isClosed: boolean): Specimen {
  const random = seeded(bytes);
  const disk = new SimDisk(random);
  const { log } = reopen(disk, DIRECTORY, OPTIONS);
  const payloads: string[] = [];
  const from = log.writtenOffset;
  let proven = 0;
  while (log.writtenOffset - from < bytes) {
    proven = payloads.length;
    for (let i = random.below(3); i >= 0; i--) {
      const payload = `${payloads.length} ${'.'.repeat(random.below(300))}`;
      payloads.push(payload);
      put(log, payloads.length, payload);
    }
    log.sync();
  }
  const end = log.writtenOffset;
  if (isClosed) log.close();
  const path = `${DIRECTORY}/0000000000000001.log`;
  return {
    path,
    bytes: disk.contents(path).slice(0, end),
    payloads,
    from,
    end,
    proven: isClosed ? payloads.length : proven,
  };
}

/** What is read of a log whose only segment has these bytes; undefined when that is refused with a LogError CORRUPT or VERSION. */
export function openDamaged(specimen: Specimen, bytes: Uint8Array): Omit<Found, 'log'> | undefined {
  const disk = new SimDisk(seeded(1));
  disk.place(specimen.path, bytes);
  const scan = openLog(disk, DIRECTORY, OPTIONS);
  try {
    const records = readAll(scan);
    scan.stop();
    return { records, torn: scan.torn };
  } catch (error) {
    if (!(error instanceof LogError) || (error.code !== 'CORRUPT' && error.code !== 'VERSION')) throw error;
    if (error.file !== specimen.path || error.offset < 0 || !error.message.includes(specimen.path)) throw error;
    return undefined;
  }
}

/** Cuts the file at every byte of [from, to). */
export function cutEverywhere(specimen: Specimen, from: number, to: number): { cut: number; refused: number } {
  const counts = { cut: 0, refused: 0 };
  for (let length = from; length < to; length++)
    check(specimen, specimen.bytes.slice(0, length), `cut at ${length}`, counts);
  return counts;
}

/** Flips every single bit of [from, to). */
export function flipEverywhere(specimen: Specimen, from: number, to: number): { cut: number; refused: number } {
  const counts = { cut: 0, refused: 0 };
  const bytes = specimen.bytes.slice();
  for (let at = from; at < to; at++) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[at] ^= 1 << bit;
      check(specimen, bytes, `bit ${bit} of byte ${at} flipped`, counts);
      bytes[at] ^= 1 << bit;
    }
  }
  return counts;
}

/** What is found must be the first so and so many payloads, unchanged. */
function check(specimen: Specimen, bytes: Uint8Array, what: string, counts: { cut: number; refused: number }): void {
  const found = openDamaged(specimen, bytes);
  if (found === undefined) {
    counts.refused++;
    return;
  }
  counts.cut++;
  found.records.forEach(({ index, payload }, i) => {
    if (index !== i + 1 || payload !== specimen.payloads[i])
      throw new Error(`${what}: entry ${index} reads ${payload}`);
  });
  if (bytes.length === specimen.bytes.length && found.records.length < specimen.proven) {
    throw new Error(`${what}: ${found.records.length} records, ${specimen.proven} are proven`);
  }
  if (found.records.length === specimen.payloads.length && bytes.length === specimen.bytes.length) {
    throw new Error(`${what}: it was not noticed`);
  }
}

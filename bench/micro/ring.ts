/** The ring: records through it on one thread, and there and back to another thread, one at a time and in batches. */
import { Worker } from 'node:worker_threads';
import { Ring } from '../../engine/ring.ts';
import type { MicroBench } from '../micro.ts';

const RING_BYTES = 1024 * 1024;
const RECORD_BYTES = 64;
const BATCH = 64;
const ROUNDS = 200;

/** The other thread: sends every record back, spinning; it ends with the process. */
const ECHO = `
const { workerData } = require('node:worker_threads');
import(workerData.ringUrl).then(({ Ring }) => {
  const from = Ring.reader(workerData.there);
  const to = Ring.writer(workerData.back);
  for (;;) {
    const at = from.peek();
    if (at === 0) continue;
    while (to.reserve(${RECORD_BYTES}) === 0) {}
    to.publish();
    from.release(at);
  }
});`;

function oneThread(): MicroBench {
  const buffer = Ring.allocate(RING_BYTES);
  const writer = Ring.writer(buffer);
  const reader = Ring.reader(buffer);
  const fn = (): void => {
    for (let i = 0; i < BATCH * ROUNDS; i++) {
      writer.reserve(RECORD_BYTES);
      writer.publish();
      reader.release(reader.peek());
    }
  };
  return { name: 'write and read on one thread', operations: BATCH * ROUNDS, fn };
}

class Echo {
  private readonly there = Ring.allocate(RING_BYTES);
  private readonly back = Ring.allocate(RING_BYTES);
  private readonly to = Ring.writer(this.there);
  private readonly from = Ring.reader(this.back);

  constructor() {
    const workerData = {
      there: this.there,
      back: this.back,
      ringUrl: new URL('../../engine/ring.js', import.meta.url).href,
    };
    new Worker(ECHO, { eval: true, workerData }).unref();
  }

  roundTrips(count: number, batch: number): void {
    for (let i = 0; i < count; i += batch) {
      for (let k = 0; k < batch; k++) this.to.reserve(RECORD_BYTES);
      this.to.publish();
      for (let k = 0; k < batch; k++) {
        let at = this.from.peek();
        while (at === 0) at = this.from.peek();
        this.from.release(at);
      }
    }
  }
}

export default function ring(): MicroBench[] {
  const echo = new Echo();
  return [
    oneThread(),
    { name: 'there and back, one by one', operations: ROUNDS, fn: () => echo.roundTrips(ROUNDS, 1) },
    {
      name: `there and back, ${BATCH} at a time`,
      operations: BATCH * ROUNDS,
      fn: () => echo.roundTrips(BATCH * ROUNDS, BATCH),
    },
  ];
}

/**
 * What will happen in a simulated world, in order of time; at the same time, in the order in which it was planned. A binary
 * heap: a few comparisons per event.
 */

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class Events {
  /** The time of the event that runs now, in ms since the world began. */
  now = 0;
  private readonly heap: Event[] = [];
  private planned = 0;

  get count(): number {
    return this.heap.length;
  }

  after(delayMs: number, run: () => void): void {
    const event = { at: this.now + delayMs, order: this.planned++, run };
    const { heap } = this;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs what is next; false when nothing is left. */
  step(): boolean {
    const { heap } = this;
    if (heap.length === 0) return false;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length > 0) this.sink(last);
    this.now = first.at;
    first.run();
    return true;
  }

  private sink(event: Event): void {
    const { heap } = this;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], event)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

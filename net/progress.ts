/**
 * How far long work at start has come, on standard error: a bar that is drawn over and over where that is a terminal, a
 * line now and then where it is not.
 */

const BAR_WIDTH = 30;
const DRAW_EVERY_MS = 100;
const LINE_EVERY_MS = 2000;

export class Progress {
  private readonly title: string;
  private readonly out: NodeJS.WriteStream;
  private readonly everyMs: number;
  private shownAt: number;
  private isDrawn = false;

  constructor(title: string, out: NodeJS.WriteStream = process.stderr) {
    this.title = title;
    this.out = out;
    this.everyMs = out.isTTY ? DRAW_EVERY_MS : LINE_EVERY_MS;
    this.shownAt = performance.now();
  }

  /** `done` of `all` bytes; `more` is put behind, as `12,000 keys`. */
  show(done: number, all: number, more = ''): void {
    const now = performance.now();
    if (now - this.shownAt < this.everyMs) return;
    this.shownAt = now;
    const part = all === 0 ? 1 : done / all;
    const percent = `${Math.floor(part * 100)}%`.padStart(4);
    const behind = more === '' ? '' : `, ${more}`;
    if (this.out.isTTY) {
      const filled = Math.floor(part * BAR_WIDTH);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      this.out.write(`\r\x1b[K${this.title} ${bar}${percent}${behind}`);
      this.isDrawn = true;
    } else {
      this.out.write(`${this.title}:${percent} of ${Math.round(all / 1024 / 1024)} MiB${behind}\n`);
    }
  }

  /** Takes the bar away. */
  end(): void {
    if (this.isDrawn) this.out.write('\r\x1b[K');
    this.isDrawn = false;
  }
}

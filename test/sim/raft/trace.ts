/** What happened in a simulated world, one line an event, for people: the last lines of it, or all of them. Off, it costs a test. */

export class Trace {
  /** Whether anybody wants lines: callers ask before they make one. */
  readonly isOn: boolean;
  private readonly lines: string[] = [];
  private readonly keep: number;
  /** The time that lines begin with. */
  clock: () => number = () => 0;

  /** Keeps the last `keep` lines; 0: none. */
  constructor(keep: number) {
    this.keep = keep;
    this.isOn = keep > 0;
  }

  add(text: string): void {
    this.lines.push(`${this.clock().toFixed(2).padStart(9)}  ${text}`);
    if (this.lines.length > this.keep * 2) this.lines.splice(0, this.keep);
  }

  get last(): readonly string[] {
    return this.lines.slice(-this.keep);
  }
}

/**
 * What commands are refused for that the server cannot do now, whoever asks: while the data set is loaded, and while writes
 * cannot be made durable. Main thread; costs a command one comparison while there is nothing.
 */
import { type CommandRow, LOADING, WRITE } from '../engine/command.ts';

export class Refusals {
  /** Whether any command may be refused: `of` tells which. */
  any = false;
  private loading = '';
  private writes = '';

  get isLoading(): boolean {
    return this.loading !== '';
  }

  /** While the data set is loaded, commands that need it get this error; '' for none. */
  setLoading(text: string): void {
    this.loading = text;
    this.any = this.loading !== '' || this.writes !== '';
  }

  /** While writes cannot be made durable they get this error; '' for none. */
  setWrites(text: string): void {
    this.writes = text;
    this.any = this.loading !== '' || this.writes !== '';
  }

  /** The error for a command; '' when it may run. */
  of(row: CommandRow): string {
    if (this.loading !== '' && (row.flags & LOADING) === 0) return this.loading;
    // As in Redis PING tells of it too.
    if (this.writes !== '' && ((row.flags & WRITE) !== 0 || row.name === 'ping')) return this.writes;
    return '';
  }
}

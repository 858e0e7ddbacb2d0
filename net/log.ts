/** The server's log: one line per event, to standard output or `logfile`, filtered by `loglevel`. Main thread. */
import { appendFileSync } from 'node:fs';
import type { LogLevel } from './clients.ts';

const ORDER: readonly LogLevel[] = ['debug', 'verbose', 'notice', 'warning'];
const MARKS: Record<LogLevel, string> = { debug: '.', verbose: '-', notice: '*', warning: '#' };

export class Logger {
  level: LogLevel = 'notice';
  private readonly file: string;

  /** An empty `file` means standard output. */
  constructor(file: string) {
    this.file = file;
  }

  write(level: LogLevel, text: string): void {
    if (ORDER.indexOf(level) < ORDER.indexOf(this.level)) return;
    const line = `${process.pid}:M ${timestamp(new Date())} ${MARKS[level]} ${text}\n`;
    if (this.file === '') process.stdout.write(line);
    else this.append(line);
  }

  /** A full disk is no reason to stop serving. */
  private append(line: string): void {
    try {
      appendFileSync(this.file, line);
    } catch {}
  }
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `21 Nov 2026 10:00:00.123`, local time. */
function timestamp(date: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const ms = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getDate())} ${MONTHS[date.getMonth()]} ${date.getFullYear()} ${time}.${ms}`;
}

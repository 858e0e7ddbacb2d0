/** SLOWLOG: the last commands that took longer than slowlog-log-slower-than. Main thread. */
import type { Call } from '../engine/call.ts';
import type { CommandRow } from '../engine/command.ts';
import type { Session } from './session.ts';

const MAX_ARGUMENTS = 32;
const MAX_ARGUMENT_BYTES = 128;

export interface SlowEntry {
  id: number;
  atSec: number;
  elapsedUs: number;
  args: string[];
  addr: string;
  name: string;
}

export class SlowLog {
  /** slowlog-log-slower-than, microseconds; negative: nothing is logged. */
  slowerThanUs = 10_000;
  /** slowlog-max-len */
  maxLength = 128;
  /** Newest first. */
  readonly entries: SlowEntry[] = [];
  private nextId = 0;

  /** Logs the command in `call` if it was slow enough. */
  consider(call: Call, _row: CommandRow, elapsedUs: number): void {
    if (this.slowerThanUs < 0 || elapsedUs < this.slowerThanUs) return;
    const session = call.session as Session;
    this.add(argumentsOf(call), elapsedUs, session.addr, session.name);
  }

  add(args: string[], elapsedUs: number, addr: string, name: string): void {
    this.entries.unshift({
      id: this.nextId++,
      atSec: Math.floor(Date.now() / 1000),
      elapsedUs: Math.round(elapsedUs),
      args,
      addr,
      name,
    });
    this.entries.length = Math.min(this.entries.length, this.maxLength);
  }

  reset(): void {
    this.entries.length = 0;
  }
}

/** The arguments as the log keeps them: at most 32, each at most 128 bytes, saying how much is left out. */
function argumentsOf(call: Call): string[] {
  const shown = Math.min(call.argc, MAX_ARGUMENTS);
  const args: string[] = [];
  for (let i = 0; i < shown; i++) {
    if (shown !== call.argc && i === shown - 1) {
      args.push(`... (${call.argc - shown + 1} more arguments)`);
    } else {
      const text = String.fromCharCode(...call.buf.subarray(call.off[i], call.off[i] + Math.min(call.len[i], MAX_ARGUMENT_BYTES)));
      const more = call.len[i] - MAX_ARGUMENT_BYTES;
      args.push(more > 0 ? `${text}... (${more} more bytes)` : text);
    }
  }
  return args;
}

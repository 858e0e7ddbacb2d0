/** Commands on one key with numbered elements, run in process on one thread, for bench/micro. */
import { Call } from '../engine/call.ts';
import { type CommandRow, CommandTable } from '../engine/command.ts';
import { engineRows } from '../engine/commands/index.ts';
import { Settings } from '../engine/settings.ts';
import { Shards } from '../engine/shards.ts';

const ARENA_BYTES = 512 * 1024 * 1024;
const DIGITS = 12;

/** Words that stand for `element:` and 12 digits, or for the digits alone, written anew for every command. */
export const ELEMENT = `element:${'0'.repeat(DIGITS)}`;
export const NUMBER = '1'.padEnd(DIGITS, '0');

const call = new Call(Shards.create(1, ARENA_BYTES, 16, [1, 2]), new Settings());
call.setClock(1_700_000_000_000);
const table = new CommandTable(engineRows);
const encoder = new TextEncoder();

export class ElementCommand {
  private readonly row: CommandRow;
  private readonly buf: Uint8Array;
  private readonly lengths: readonly number[];
  /** Where the digits of an ELEMENT or NUMBER end; 0 for a command without. */
  private readonly digitsEnd: number;
  private seed = 12345;

  constructor(...words: readonly string[]) {
    this.buf = encoder.encode(words.join(''));
    this.lengths = words.map((word) => word.length);
    const numbered = words.findIndex((word) => word === ELEMENT || word === NUMBER);
    this.digitsEnd = numbered < 0 ? 0 : words.slice(0, numbered + 1).join('').length;
    const row = table.find(this.buf, 0, words[0].length);
    if (row === undefined) throw new Error(`no command ${words[0]}`);
    this.row = row;
  }

  /** A number below `range`. */
  draw(range: number): number {
    this.seed = (Math.imul(this.seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.seed / 2 ** 32) * range);
  }

  /** Runs the command `count` times with elements drawn from `range`. */
  run(count: number, range: number): void {
    for (let i = 0; i < count; i++) this.runAt(this.draw(range));
  }

  /** Runs the command with one element. */
  runAt(element: number): void {
    if (this.digitsEnd !== 0) this.write(element);
    if (call.buf !== this.buf) call.buf = this.buf;
    call.argc = this.lengths.length;
    let at = 0;
    for (let i = 0; i < this.lengths.length; i++) {
      call.off[i] = at;
      call.len[i] = this.lengths[i];
      at += this.lengths[i];
    }
    call.begin(this.row);
    call.reply.length = 0;
    this.row.run(call);
  }

  /** Numbers below 10^7 leave the first digit as it is, so that a NUMBER is an integer. */
  private write(element: number): void {
    let value = element;
    for (let i = 1; i < 8; i++) {
      const rest = (value / 10) | 0;
      this.buf[this.digitsEnd - i] = 48 + (value - rest * 10);
      value = rest;
    }
  }
}

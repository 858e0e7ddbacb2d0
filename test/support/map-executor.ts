/**
 * Runs commands over a Map, on this thread: enough of a server to test connections with, and slow or stubborn on demand.
 * `GET`, `SET`, `DEL`, `FILL` (a reply of so many bytes), `BUSY` (takes so many microseconds), and the connection commands. With
 * `asynchronous` set, GET and SET are answered later, as by another thread, when `answer` is called.
 */
import { Call } from '../../engine/call.ts';
import {
  arityFits,
  type CommandRow,
  CommandTable,
  NO_AUTH,
  SCOPE_KEYS,
  unknownCommand,
  WRITE,
} from '../../engine/command.ts';
import { ERR, wrongArity } from '../../engine/errors.ts';
import { Settings } from '../../engine/settings.ts';
import { Shards } from '../../engine/shards.ts';
import { PAUSE_NONE } from '../../net/clients.ts';
import { connectionRows } from '../../net/commands/connection.ts';
import { DONE, type Executor, type Outcome, QUEUED, STALLED } from '../../net/executor.ts';
import type { Session } from '../../net/session.ts';

interface Waiting {
  session: Session;
  seq: number;
  reply: Uint8Array;
}

export class MapExecutor implements Executor {
  readonly call = new Call(Shards.create(1, 16 * 1024 * 1024, 16, [1, 2]), new Settings());
  readonly data = new Map<string, Uint8Array>();
  readonly table: CommandTable;
  /** Whether GET and SET wait for `answer`. */
  asynchronous = false;
  /** While set, GET and SET are STALLED; `stalled` holds their sessions. */
  stall = false;
  readonly stalled = new Set<Session>();
  readonly waiting: Waiting[] = [];
  readonly forgotten: number[] = [];
  commands = 0;
  batches = 0;
  ticks = 0;

  constructor() {
    this.table = new CommandTable([
      ...connectionRows(() => true),
      row('get', 2, 0, (call) => {
        const value = this.data.get(call.str(1));
        if (value === undefined) call.reply.nil();
        else call.reply.bulk(value, 0, value.length);
      }),
      row('set', 3, WRITE, (call) => {
        this.data.set(call.str(1), call.bytes(2));
        call.reply.ok();
      }),
      row('fill', 2, 0, (call) => {
        call.long(1);
        call.reply.bulk(new Uint8Array(call.num).fill(120), 0, call.num);
      }),
      row('busy', 2, 0, (call) => {
        call.long(1);
        for (const until = performance.now() + call.num / 1000; performance.now() < until; );
        call.reply.ok();
      }),
    ]);
  }

  execute(session: Session): Outcome {
    const call = this.call;
    const row = this.table.resolve(call);
    if (row === undefined) {
      call.reply.error(unknownCommand(this.table, call));
      return DONE;
    }
    call.begin(row);
    if (!arityFits(row, call.argc)) {
      call.reply.error(wrongArity(row.name));
      return DONE;
    }
    if (session.authRequired && (row.flags & NO_AUTH) === 0) {
      call.reply.error(ERR.NO_AUTH);
      return DONE;
    }
    if (session.clients.pauseMode !== PAUSE_NONE && session.clients.mustWait(session, row)) return STALLED;
    const keyed = row.scope === SCOPE_KEYS;
    if (keyed && this.stall) {
      this.stalled.add(session);
      return STALLED;
    }
    this.commands++;
    const mark = call.reply.length;
    row.run(call);
    if (row.name === 'busy' && call.num > 100) session.clients.scheduler.lookSoon();
    if (!keyed || !this.asynchronous) return DONE;
    this.waiting.push({ session, seq: session.nextSeq, reply: call.reply.u8.slice(mark, call.reply.length) });
    call.reply.rewind(mark);
    return QUEUED;
  }

  /** Delivers what waits, in the order of the given indexes. */
  answer(order: number[] = this.waiting.map((_, i) => i)): void {
    const waiting = this.waiting.splice(0);
    for (const i of order) waiting[i].session.deliver(waiting[i].seq, waiting[i].reply, 0, waiting[i].reply.length);
    waiting[0]?.session.clients.flush();
  }

  beginBatch(): void {}

  endBatch(): void {
    this.batches++;
  }

  endTick(): void {
    this.ticks++;
  }

  forget(session: Session): void {
    this.forgotten.push(session.id);
  }
}

function row(name: string, arity: number, flags: number, run: (call: Call) => void): CommandRow {
  const keys = { firstKey: 1, lastKey: 1, keyStep: 1 };
  return {
    name,
    arity,
    flags,
    ...keys,
    group: 'string',
    scope: SCOPE_KEYS,
    since: '',
    complexity: '',
    summary: '',
    run,
  };
}

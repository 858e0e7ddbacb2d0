/**
 * SPOP as something that every replica does alike. Which members it takes depends on the order of a table's records, which is
 * not the same everywhere; so the leader chooses them before, and what is proposed is the SREM of them. Main thread, with
 * the shard locked and nothing under way that may change the set.
 */
import type { Call } from '../../engine/call.ts';
import type { CommandRow, CommandTable } from '../../engine/command.ts';
import { Effect } from '../../engine/effect.ts';
import { Request } from '../../engine/request.ts';
import type { ReplyTarget } from './proposals.ts';

export interface Plan {
  /** What is proposed. */
  readonly request: Request;
  /** Who gets its reply, and gives the client the one that was planned instead. */
  answer(target: ReplyTarget): ReplyTarget;
}

const NAME = 'SRANDMEMBER';
const MINUS = 45;

export class Planner {
  private readonly call: Call;
  private readonly choose: CommandRow;
  private readonly scratch = new Request();
  private readonly effect = new Effect();

  constructor(call: Call, table: CommandTable) {
    this.call = call;
    this.choose = table.rows.find((row) => row.name === 'srandmember') as CommandRow;
  }

  /** For the SPOP in `call`; undefined when it changes nothing, an error or an empty reply, so that it may run as it is. */
  planPop(protocol: number): Plan | undefined {
    const { call } = this;
    const { reply } = call;
    if (call.argc > 3 || (call.argc === 3 && (!call.long(2) || call.num <= 0))) return undefined;
    const count = call.argc === 3 ? String(call.num) : '1';
    const { errors } = reply;
    const mark = reply.length;
    reply.protocol = 2;
    this.chooseMembers(count);
    reply.protocol = protocol;
    const members = reply.errors === errors ? reply.u8.slice(mark, reply.length) : new Uint8Array(0);
    reply.errors = errors;
    reply.rewind(mark);
    const bytes = this.effectOf(members);
    if (bytes === undefined) return undefined;
    const planned = call.argc === 3 ? asSet(members, protocol) : members.slice(bytes);
    return {
      request: this.effect,
      answer: (target) => ({
        deliver: (seq, from, start, length) => {
          // An error says that it was not done, or that nobody knows.
          if (from[start] === MINUS) target.deliver(seq, from, start, length);
          else target.deliver(seq, planned, 0, planned.length);
        },
        settled: (index) => target.settled?.(index),
      }),
    };
  }

  /** Runs SRANDMEMBER key count on the key of the request in `call`, which is as before afterwards. */
  private chooseMembers(count: string): void {
    const { call, scratch } = this;
    const { buf, argc } = call;
    const off = call.off.slice(0, 3);
    const len = call.len.slice(0, 3);
    const parts = [Buffer.from(NAME), buf.slice(off[1], off[1] + len[1]), Buffer.from(count)];
    scratch.buf = new Uint8Array(Buffer.concat(parts));
    call.buf = scratch.buf;
    call.argc = 3;
    for (let i = 0, at = 0; i < 3; at += parts[i++].length) {
      call.off[i] = at;
      call.len[i] = parts[i].length;
    }
    call.begin(this.choose);
    this.choose.run(call);
    call.buf = buf;
    call.argc = argc;
    call.off.set(off);
    call.len.set(len);
  }

  /** Fills `effect` with SREM of the members in the array reply; where the first begins in it, undefined when there is none. */
  private effectOf(members: Uint8Array): number | undefined {
    const { call, effect } = this;
    if (members.length === 0 || members[0] !== 42) return undefined;
    const text = Buffer.from(members.buffer, members.byteOffset, members.length);
    const first = text.indexOf('\n') + 1;
    const count = Number(text.toString('latin1', 1, first - 2));
    if (count === 0) return undefined;
    effect.begin('SREM');
    effect.add(call.buf, call.off[1], call.len[1]);
    for (let i = 0, at = first; i < count; i++) {
      const end = text.indexOf('\n', at) + 1;
      const length = Number(text.toString('latin1', at + 1, end - 2));
      effect.add(members, end, length);
      at = end + length + 2;
    }
    return first;
  }
}

/** An array reply as RESP3 has sets. */
function asSet(members: Uint8Array, protocol: number): Uint8Array {
  if (protocol === 3) members[0] = 126;
  return members;
}

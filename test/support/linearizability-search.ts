/**
 * The search for one key's linearization. Called by linearizability.ts only.
 *
 * Wing and Gong 1993 with two ideas of Lowe ("Testing for linearizability", 2017). Just in time: the history is walked event
 * by event, and an operation is linearized only when another's return needs it, its own most of all; so what has
 * returned is settled, and a configuration is no more than the return it stands at, the state, and which of the pending operations are
 * linearized already. Memory: a configuration seen before is not tried again.
 *
 * Reductions, each without loss:
 * - A read (any operation that, with its answer, changes nothing in any state) is linearized as soon as the state allows its answer:
 *   no later place could be better for the others.
 * - An operation of unknown outcome is never owed an explanation, so of two configurations that differ only in such
 *   operations the one that used fewer can do whatever the other can: a superset of one tried before is not tried.
 * - Of equal commands of unknown outcome the earlier called goes first: it may stand wherever the later may.
 * - A model may see that what a read will answer cannot come about any more (`foresight`): then the configuration is given up at once.
 *
 * The furthest return comes first, and of the configurations that stand at it those that linearized the fewest operations
 * ahead of time: mostly none or one was needed. When everything has been tried, the furthest return that could
 * not be passed is the first one that no linearization explains. Nothing recurses, so a history may be as long as it likes.
 */
import type { Model, Operation } from './linearizability.ts';

/** No operation. */
const NONE = -1;

export interface Failure {
  /** In the order of their calls; what has no explanation is `unexplained`, one of them. */
  readonly prefix: readonly Operation[];
  readonly unexplained: Operation;
  /** The states that the key may have been in when that return was due. */
  readonly states: readonly string[];
}

/** The returns of a history in order, and what is pending at each. Operations are numbers: their places in `operations`. */
interface Course {
  readonly operations: readonly Operation[];
  /** Of each return: the operation. */
  readonly returning: readonly number[];
  /** Of each return: the operations of known outcome that were called before it and have not returned, itself included. */
  readonly pending: readonly (readonly number[])[];
  /** Of each return: how many of `lost` were called before it. */
  readonly lostBefore: readonly number[];
  /** The operations of unknown outcome, in the order of their calls. */
  readonly lost: readonly number[];
  /** Of each of `lost`: the place in `lost` of the equal command called last before it, or -1. */
  readonly twin: readonly number[];
  /** Of each operation its bit in a configuration's sets: among known ones used again after the return. */
  readonly bit: readonly bigint[];
  /** Of each operation: its place in `returning`. */
  readonly place: readonly number[];
}

/** One way to have come to a return. */
interface Configuration<S> {
  readonly state: S;
  /** Which pending operations of known outcome are linearized, and which of unknown outcome. */
  readonly done: bigint;
  readonly used: bigint;
  /** Whether it has been tried to linearize the returning operation next. */
  tried: boolean;
}

/** Configurations between two looks at the clock. */
const CLOCK_EVERY = 256;
/** States kept for the report. */
const STATES_REPORTED = 8;

export function searchKey<S>(
  history: readonly Operation[],
  model: Model<S>,
  deadlineMs: number,
): 'linearizable' | 'late' | Failure {
  const course = plan(history, model);
  const { returning } = course;
  const all = explore(course, model, returning.length, deadlineMs);
  if (all.result === 'late') return 'late';
  if (all.result === 'passed') return 'linearizable';
  let { furthest, states } = all;
  // What was given up because of reads to come is no reason yet to call the return where that was done unexplained: the first
  // number of returns is wanted that cannot be passed even when nothing behind them is looked at.
  let failing = model.foresight(history) === undefined ? furthest + 1 : returning.length;
  while (furthest + 1 < failing) {
    const limit = (furthest + failing) >>> 1;
    const part = explore(course, model, limit, deadlineMs);
    if (part.result === 'late') break;
    if (part.result === 'failed') failing = limit;
    else ({ states, furthest } = part);
  }
  const unexplained = course.operations[returning[failing - 1]];
  const prefix = course.operations.filter((operation) => operation.call <= unexplained.return);
  return { prefix, unexplained, states };
}

interface Exploration {
  readonly result: 'passed' | 'failed' | 'late';
  /** How many returns can be passed. */
  readonly furthest: number;
  /** Some states that the key may be in there. */
  readonly states: string[];
}

/** Whether the first `limit` returns can be passed. Reads behind them are not looked at. */
function explore<S>(course: Course, model: Model<S>, limit: number, deadlineMs: number): Exploration {
  const { operations, returning, pending, lost, lostBefore, twin, bit, place } = course;
  const reaches = model.foresight(operations);
  const nextRead = reaches === undefined ? [] : nextReads(course, model, limit);
  const seen: Map<string, bigint[]>[] = returning.map(() => new Map());
  /** What is to be tried at each return, in order: waiting[at][head[at]..]. */
  const waiting: Configuration<S>[][] = returning.map(() => []);
  const head = new Int32Array(returning.length);
  let final = model.initial;
  let top = -1;
  let furthest = 0;
  let steps = 0;

  /** Adds the configuration, moved on over all returns that are explained already. True if that was the last one. */
  const enter = (from: number, state: S, linearized: bigint, used: bigint): boolean => {
    let at = from;
    let done = linearized;
    for (; at < limit; at++) {
      for (const o of pending[at]) {
        if ((done & bit[o]) !== 0n) continue;
        const { command, answer } = operations[o];
        if (model.reads(command, answer) && model.step(state, command, answer) !== undefined) done |= bit[o];
      }
      const due = bit[returning[at]];
      if ((done & due) === 0n) break;
      done &= ~due;
    }
    if (at === limit) {
      final = state;
      return true;
    }
    if (reaches !== undefined) {
      for (const o of [nextRead[at], ...pending[at]]) {
        if (o === NONE || place[o] >= limit || (done & bit[o]) !== 0n) continue;
        const { command, answer } = operations[o];
        if (model.reads(command, answer) && !reaches(state, command, answer)) return false;
      }
    }
    const name = `${done.toString(36)} ${model.identity(state)}`;
    const before = seen[at].get(name);
    if (before === undefined) seen[at].set(name, [used]);
    else if (before.some((fewer) => (fewer & ~used) === 0n)) return false;
    else before.push(used);
    waiting[at].push({ state, done, used, tried: false });
    if (at > top) top = at;
    if (at > furthest) furthest = at;
    return false;
  };

  const passed = (): Exploration => ({ result: 'passed', furthest: limit, states: [model.identity(final)] });
  if (enter(0, model.initial, 0n, 0n)) return passed();
  while (top >= 0) {
    if (head[top] === waiting[top].length) {
      // The names stay in `seen`; the configurations themselves are of no use any more.
      waiting[top] = [];
      head[top] = 0;
      top--;
      continue;
    }
    if (++steps % CLOCK_EVERY === 0 && performance.now() > deadlineMs) return { result: 'late', furthest, states: [] };
    const at = top;
    const configuration = waiting[at][head[at]];
    const { state, done, used } = configuration;
    if (!configuration.tried) {
      configuration.tried = true;
      const { command, answer } = operations[returning[at]];
      const after = model.step(state, command, answer);
      if (after !== undefined && enter(at, after, done | bit[returning[at]], used)) return passed();
      continue;
    }
    head[at]++;
    for (const o of pending[at]) {
      if (o === returning[at] || (done & bit[o]) !== 0n) continue;
      const after = model.step(state, operations[o].command, operations[o].answer);
      if (after !== undefined && enter(at, after, done | bit[o], used)) return passed();
    }
    for (let i = 0; i < lostBefore[at]; i++) {
      const o = lost[i];
      const earlier = twin[i];
      if ((used & bit[o]) !== 0n || (earlier >= 0 && (used & bit[lost[earlier]]) === 0n)) continue;
      const after = model.step(state, operations[o].command, undefined);
      if (after !== undefined && enter(at, after, done, used | bit[o])) return passed();
    }
  }
  const names = [...(seen[furthest]?.keys() ?? [])];
  const states = new Set(names.map((name) => name.slice(name.indexOf(' ') + 1)));
  return { result: 'failed', furthest, states: [...states].slice(0, STATES_REPORTED) };
}

/** Brings the history into the order of its events, a call before a return of the same time. */
function plan<S>(history: readonly Operation[], model: Model<S>): Course {
  const operations = [...history].sort((a, b) => a.call - b.call || a.return - b.return);
  const returns = operations.map((_, o) => o).filter((o) => operations[o].return !== Number.POSITIVE_INFINITY);
  returns.sort((a, b) => operations[a].return - operations[b].return || a - b);
  const bit: bigint[] = [];
  const free: bigint[] = [];
  let bits = 0n;
  const lost: number[] = [];
  const twin: number[] = [];
  const lastLost = new Map<string, number>();
  const pending: number[][] = [];
  const lostBefore: number[] = [];
  const open: number[] = [];
  let called = 0;
  for (const returned of returns) {
    for (; called < operations.length && operations[called].call <= operations[returned].return; called++) {
      const operation = operations[called];
      if (operation.return === Number.POSITIVE_INFINITY) {
        const name = model.effect(operation.command);
        twin.push(lastLost.get(name) ?? -1);
        lastLost.set(name, lost.length);
        bit[called] = 1n << BigInt(lost.length);
        lost.push(called);
      } else {
        bit[called] = free.pop() ?? 1n << bits++;
        open.push(called);
      }
    }
    pending.push([...open]);
    lostBefore.push(lost.length);
    open.splice(open.indexOf(returned), 1);
    free.push(bit[returned]);
  }
  const place: number[] = [];
  for (const [i, o] of returns.entries()) place[o] = i;
  return { operations, returning: returns, pending, lostBefore, lost, twin, bit, place };
}

/**
 * Of each return: the operation that returns first of those reads that are called later than it, or NONE. Together with
 * what is pending, the reads that a configuration may have to answer next.
 */
function nextReads<S>({ operations, returning, pending }: Course, model: Model<S>, limit: number): number[] {
  const next = new Array<number>(limit).fill(NONE);
  let at = 0;
  for (let read = 0; read < limit; read++) {
    const { command, answer } = operations[returning[read]];
    if (!model.reads(command, answer)) continue;
    for (; at < read && !pending[at].includes(returning[read]); at++) next[at] = returning[read];
  }
  return next;
}

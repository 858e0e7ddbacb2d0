/**
 * Decides whether a recorded history is linearizable: whether every operation can be given one instant between its call
 * and its return so that, done one after another at those instants, all had answered what they did answer. Simulator and
 * tests against real nodes hand their histories in here; any thread.
 *
 * Keys are judged one by one, since a history is linearizable if and only if each key's part is (Herlihy and Wing 1990;
 * as a way to make checking cheap: Horn and Kroening 2015). One key's search is in linearizability-search.ts, the models in
 * linearizability-models.ts.
 *
 * An operation without a return has an unknown outcome: it took effect at any time after its call, or never. One that is known not
 * to have taken effect does not belong into the history. Times are any numbers of one clock; where a return and a call
 * carry the same time, the two operations count as concurrent.
 *
 * Cost: some us per operation where few are concurrent; a key with 1,000 operations of 20 clients, 5 % of unknown outcome, takes
 * about 50 ms as a register, counter or appended string. In the worst case it is exponential in the writes that are
 * pending on one key at once: hence the time limit, after which the answer is "unknown", never "linearizable". Keep histories of
 * lists and sets with many unknown outcomes short, or use lengthModel where nobody reads the content.
 */
import { renderFailure } from './linearizability-render.ts';
import { type Failure, searchKey } from './linearizability-search.ts';

export type Answer = string | number | null | readonly string[];

export interface Operation {
  readonly client: number;
  readonly key: string;
  /** The command without its key: `['SET', 'v']`. */
  readonly command: readonly string[];
  /** Not looked at when the outcome is unknown. */
  readonly answer: Answer;
  readonly call: number;
  /** Infinity: no return was seen. */
  readonly return: number;
}

export type Foresight<S> = (state: S, command: readonly string[], answer: Answer) => boolean;

/** What one key of some type does. States are immutable. */
export interface Model<S> {
  readonly initial: S;
  /** The state after `command`, or undefined if it cannot have answered `answer` in `state`; undefined stands for any answer. */
  step(state: S, command: readonly string[], answer: Answer | undefined): S | undefined;
  /** Whether a command that answered so changes the state in no state at all. */
  reads(command: readonly string[], answer: Answer): boolean;
  /** Equal for commands that do the same, as long as nobody sees their answers. */
  effect(command: readonly string[]): string;
  /**
   * For a key with these operations and no others: a function that says whether a read may still come to answer so, some time
   * from `state` on; undefined where the model has nothing to say about that.
   */
  foresight(operations: readonly Operation[]): Foresight<S> | undefined;
  /** Equal for equal states only. */
  identity(state: S): string;
}

export interface Verdict {
  readonly result: 'linearizable' | 'illegal' | 'unknown';
  /** The key that is not linearizable, or the first one that took too long. */
  readonly key?: string;
  /** Of an illegal key: the first return that has no explanation, and what was called before it. */
  readonly failure?: Failure;
  /** For people. */
  readonly report: string;
}

export interface CheckOptions {
  /** For all keys together. */
  readonly timeLimitMs?: number;
}

const TIME_LIMIT_MS = 60_000;

/** Judges `history`, in any order, of keys that all behave as `model` does. */
export function checkLinearizable<S>(
  history: readonly Operation[],
  model: Model<S>,
  { timeLimitMs = TIME_LIMIT_MS }: CheckOptions = {},
): Verdict {
  const deadlineMs = performance.now() + timeLimitMs;
  let late: string | undefined;
  // A key that takes too long does not hide another's violation as long as there is time left for the others: each
  // key may use half of what remains.
  for (const [key, operations] of partition(history)) {
    const nowMs = performance.now();
    const outcome = searchKey(operations, model, nowMs + Math.max(0, deadlineMs - nowMs) / 2);
    if (outcome === 'late') {
      late ??= key;
    } else if (outcome !== 'linearizable') {
      return { result: 'illegal', key, failure: outcome, report: renderFailure(key, outcome) };
    }
  }
  if (late === undefined) return { result: 'linearizable', report: 'linearizable' };
  return { result: 'unknown', key: late, report: `key ${late}: no answer within the time limit` };
}

/** Each key's operations, shorter histories first: they fail faster, and their reports are easier to read. */
function partition(history: readonly Operation[]): [string, Operation[]][] {
  const keys = new Map<string, Operation[]>();
  for (const operation of history) {
    const { key, call } = operation;
    if (!(call <= operation.return)) throw new Error(`${key}: returned at ${operation.return}, called at ${call}`);
    const operations = keys.get(key);
    if (operations === undefined) keys.set(key, [operation]);
    else operations.push(operation);
  }
  return [...keys].sort((a, b) => a[1].length - b[1].length);
}

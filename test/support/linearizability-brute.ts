/**
 * Linearizability by its definition, to judge the checker with: every order of the operations that keeps what returned before the
 * other was called, with every choice of which ones of unknown outcome took effect. For one key and up to about seven
 * operations. Knows nothing of the checker but its models.
 */
import type { Model, Operation } from './linearizability.ts';

export function isLinearizable<S>(history: readonly Operation[], model: Model<S>): boolean {
  return someOrder(history, model, model.initial);
}

/** Whether `left` can be done from `state`, in some order. */
function someOrder<S>(left: readonly Operation[], model: Model<S>, state: S): boolean {
  if (left.every((operation) => operation.return === Number.POSITIVE_INFINITY)) return true;
  return left.some((first) => {
    if (left.some((other) => other.return < first.call)) return false;
    const rest = left.filter((other) => other !== first);
    const unknown = first.return === Number.POSITIVE_INFINITY;
    const after = model.step(state, first.command, unknown ? undefined : first.answer);
    return after !== undefined && someOrder(rest, model, after);
  });
}

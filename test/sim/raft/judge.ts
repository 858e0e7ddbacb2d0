/** Whether what clients of a simulated group saw can be explained: each key's history, by the model of its kind. */
import { checkLinearizable, type Operation } from '../../support/linearizability.ts';
import { listModel, stringModel } from '../../support/linearizability-models.ts';
import { Broken } from './broken.ts';
import { LIST } from './client.ts';

/** Far more than such histories need, so that a slow machine does not decide. */
const TIME_LIMIT_MS = 20_000;

export function judgeHistory(history: readonly Operation[]): void {
  const isList = ({ key }: Operation) => key.startsWith(LIST);
  const verdicts = [
    checkLinearizable(
      history.filter((operation) => !isList(operation)),
      stringModel,
      { timeLimitMs: TIME_LIMIT_MS },
    ),
    checkLinearizable(history.filter(isList), listModel, { timeLimitMs: TIME_LIMIT_MS }),
  ];
  for (const { result, report } of verdicts) {
    if (result !== 'linearizable') throw new Broken('R', `the history is not linearizable (${result})\n${report}`);
  }
}

/** What a bench has to reach, as the rows of a table: wanted, measured, reached. Used by the reports. */
import { median, table } from './report.ts';

export interface Goal {
  what: string;
  wanted: string;
  measured: string;
  isReached: boolean;
}

/** The median, and from where to where. */
export function spread(values: readonly number[], digits: number): string {
  const middle = median(values).toFixed(digits);
  if (values.length === 1) return middle;
  return `${middle} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
}

/** The median counts: of ratios within rounds. */
export function atLeast(what: string, values: readonly number[], least: number): Goal[] {
  if (values.length === 0) return [];
  const isReached = median(values) >= least;
  return [{ what, wanted: `≥ ${least.toFixed(2)}`, measured: spread(values, 2), isReached }];
}

/** `unit` follows the numbers. A promise about the worst that happens is held against the worst round. */
export function atMost(what: string, values: readonly number[], most: number, digits: number, unit: string): Goal[] {
  if (values.length === 0) return [];
  const isReached = Math.max(...values) <= most;
  return [{ what, wanted: `≤ ${most}${unit}`, measured: `${spread(values, digits)}${unit}`, isReached }];
}

export function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map(({ what, wanted, measured, isReached }) => [what, wanted, measured, isReached ? 'yes' : 'NO']);
  return table(['goal', 'wanted', 'measured', 'reached'], rows);
}

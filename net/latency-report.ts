/** What LATENCY GRAPH and LATENCY DOCTOR print of the monitor's samples. Cold. */
import type { LatencyMonitor, LatencySeries } from './latency.ts';

const GRAPH_COLUMNS = 80;
const GRAPH_ROWS = 4;
/** The three heights within a row, lowest first; a column goes on below them with `|`. */
const TOPS = '_o#';

/** The samples of one event as a chart of characters, oldest at the left, each with its age below it. */
export function latencyGraph(event: string, series: LatencySeries, nowSec: number): string {
  const values = series.samples.map((sample) => sample.ms);
  const high = Math.max(...values);
  const low = Math.min(...values);
  let text = `${event} - high ${high} ms, low ${low} ms (all time high ${series.maxMs} ms)\n${'-'.repeat(GRAPH_COLUMNS)}\n`;
  const steps = TOPS.length * GRAPH_ROWS;
  const range = Math.max(1, high - low);
  const heights = values.map((value) => Math.min(steps - 1, Math.floor(((value - low) * steps) / range)));
  const labels = series.samples.map((sample) => age(nowSec - sample.atSec));
  for (let from = 0; from < values.length; from += GRAPH_COLUMNS) {
    const shown = heights.slice(from, from + GRAPH_COLUMNS);
    const under = labels.slice(from, from + GRAPH_COLUMNS);
    for (let row = GRAPH_ROWS - 1; row >= 0; row--) text += `${shown.map((height) => cell(height, row)).join('')}\n`;
    text += `${' '.repeat(shown.length)}\n`;
    const longest = Math.max(...under.map((label) => label.length));
    for (let i = 0; i < longest; i++) text += `${under.map((label) => label[i] ?? ' ').join('')}\n`;
  }
  return text;
}

function cell(height: number, row: number): string {
  const within = height - row * TOPS.length;
  if (within < 0) return ' ';
  return within < TOPS.length ? TOPS[within] : '|';
}

function age(seconds: number): string {
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

const ADVICE: Record<string, string> = {
  command:
    'command: a command took long by itself. SLOWLOG GET tells which. KEYS, SORT and ranges over large values grow ' +
    'with what they touch: SCAN and smaller ranges spread the work. Deleting a very large value takes time too.',
  'fast-command':
    'fast-command: a command of constant cost took long, so it was held up: by another program on this machine, by a ' +
    'pause of the garbage collector, or by freeing a very large value that it replaced.',
  'event-loop':
    'event-loop: the main thread did not come round in time, and every client waited. A slow command that ran there, ' +
    'garbage collection of very large replies, or too few processors for the number of workers can be the reason.',
};

/** What the samples say, and what can be done about it. */
export function latencyDoctor(monitor: LatencyMonitor): string {
  if (monitor.thresholdMs === 0 && monitor.events.size === 0) {
    return 'Latency monitoring is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n';
  }
  if (monitor.events.size === 0) {
    return `Nothing has taken ${monitor.thresholdMs} ms or longer since the server started or LATENCY RESET.\n`;
  }
  const lines: string[] = ['Latency spikes were seen:', ''];
  let number = 1;
  for (const [event, series] of monitor.events) lines.push(`${number++}. ${summary(event, series)}`);
  lines.push('', 'What they mean:', '');
  for (const event of monitor.events.keys()) if (ADVICE[event] !== undefined) lines.push(`- ${ADVICE[event]}`);
  return `${lines.join('\n')}\n`;
}

function summary(event: string, { samples, maxMs }: LatencySeries): string {
  const count = samples.length;
  const mean = samples.reduce((sum, sample) => sum + sample.ms, 0) / count;
  const deviation = samples.reduce((sum, sample) => sum + Math.abs(sample.ms - mean), 0) / count;
  const spanSec = samples[count - 1].atSec - samples[0].atSec;
  const often = count > 1 ? `, one every ${(spanSec / (count - 1)).toFixed(2)} s` : '';
  const times = `average ${Math.round(mean)} ms, mean deviation ${Math.round(deviation)} ms${often}`;
  return `${event}: ${count} ${count === 1 ? 'spike' : 'spikes'} (${times}). Worst of all time: ${maxMs} ms.`;
}

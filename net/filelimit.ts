/**
 * How many connections the system lets this process have. Node raises the soft limit of open files to the hard one when it
 * starts, so what /proc says is what there is; elsewhere it is not known, and nothing is checked. Main thread, cold.
 */
import { readFileSync } from 'node:fs';
import type { Config } from './config.ts';
import type { Logger } from './log.ts';

/** Files that are open beside connections: listeners, workers' wake-ups, the log, what Node itself needs. */
const RESERVED_FILES = 64;

/** Connections that can be had; undefined when there is no limit, or it is not known. */
function connectionLimit(): number | undefined {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return line === null ? undefined : Math.max(1, Number(line[1]) - RESERVED_FILES);
  } catch {
    return undefined;
  }
}

/** Lowers maxclients, now and when CONFIG SET raises it, to what the system allows. */
export function boundMaxClients(config: Config, log: Logger): void {
  const limit = connectionLimit();
  if (limit === undefined) return;
  const wanted = config.get('maxclients');
  if (wanted > limit) {
    config.set('maxclients', limit);
    log.write(
      'warning',
      `maxclients is ${limit} instead of ${wanted}: the system allows ${limit + RESERVED_FILES} open files. ` +
        'Raise the limit (ulimit -n) to have more connections.',
    );
  }
  config.onChange('maxclients', (value) =>
    value <= limit
      ? undefined
      : `The operating system is not able to handle the specified number of clients, try with ${limit}`,
  );
}

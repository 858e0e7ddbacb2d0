/** What this is: the package's version, for INFO, LOLWUT, the log and --version. */
import { readFileSync } from 'node:fs';

function read(): string {
  // From source the package file is one folder up, from the build two.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version;
    } catch {}
  }
  return 'unknown';
}

export const VERSION = read();

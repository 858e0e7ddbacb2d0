import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/** What each folder may import from: the arrows of the design point one way. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  proto: ['proto'],
  engine: ['engine', 'proto'],
  net: ['net', 'engine', 'proto'],
};
/** Sockets belong to net. */
const SOCKETS = ['net', 'http', 'http2', 'https', 'dgram', 'tls'];

const root = join(import.meta.dirname, '../..');

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(root, folder, name));
}

function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^\s*(?:import|export)\b[^;]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    (m) => m[1] ?? m[2],
  );
}

describe.each(Object.keys(MAY_IMPORT))('%s', (folder) => {
  it('imports only what it may', () => {
    const wrong: string[] = [];
    for (const file of sources(folder)) {
      for (const from of imports(file)) {
        const target = from.startsWith('.') ? relative(root, join(dirname(file), from)).split('/')[0] : undefined;
        const outside = target !== undefined && !MAY_IMPORT[folder].includes(target);
        const socket = folder !== 'net' && SOCKETS.includes(from.replace('node:', ''));
        if (outside || socket) wrong.push(`${relative(root, file)} imports ${from}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

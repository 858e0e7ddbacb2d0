/**
 * The text of configuration files: words and quotes as Redis has them, reading with `include`, and the rewriting that
 * keeps what people wrote. Main thread, at start and in CONFIG REWRITE. Files are read as bytes (Latin-1) until the
 * words are cut, because `\xHH` escapes name bytes; the words are UTF-8.
 */
import { readdirSync, readFileSync, readSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { globMatch } from '../engine/glob.ts';
import { systemMessage } from './files.ts';

/** How deep includes may nest; more is a file that includes itself. */
const MAX_INCLUDE_DEPTH = 16;

/** How often a standard input is asked that has nothing yet and does not wait, as some programs leave their pipes. */
const RETRY_MS = 10;
const CHUNK_BYTES = 64 * 1024;
/** UTF-8's mark at the beginning of a text, which some editors write, as Latin-1. */
const MARK = '\xef\xbb\xbf';

/** A mistake in the configuration, told in one line. */
export class ConfigError extends Error {}

export interface ConfigLine {
  /** Option name as written, then its words. */
  words: string[];
  /** For messages: `in redis.conf line 3`. */
  where: string;
  /** Whether it stands in an included file rather than in the main one. */
  included: boolean;
}

const ESCAPES: Record<string, string> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };
const SPACE = /[ \t\n\v\f\r\0]/;

/** Cuts a line (one character per byte) into words: "double" quotes with escapes, 'single' quotes. Undefined when a quote is not closed. */
export function splitWords(line: string): string[] | undefined {
  const found: string[] = [];
  let i = 0;
  for (;;) {
    while (i < line.length && SPACE.test(line[i])) i++;
    if (i === line.length) return found;
    let word = '';
    while (i < line.length && !SPACE.test(line[i])) {
      const quote = line[i];
      if (quote !== '"' && quote !== "'") {
        word += line[i++];
        continue;
      }
      for (i++; line[i] !== quote; ) {
        if (i >= line.length) return undefined;
        const escaped = line[i] === '\\' && i + 1 < line.length;
        const hex = escaped && quote === '"' ? /^x[0-9a-f]{2}/i.exec(line.slice(i + 1, i + 4)) : null;
        if (hex !== null) {
          word += String.fromCharCode(Number.parseInt(hex[0].slice(1), 16));
          i += 4;
        } else if (escaped && (quote === '"' || line[i + 1] === "'")) {
          word += quote === '"' ? (ESCAPES[line[i + 1]] ?? line[i + 1]) : "'";
          i += 2;
        } else {
          word += line[i++];
        }
      }
      i++;
      // A closing quote ends the word, so something else right behind it is a mistake.
      if (i < line.length && !SPACE.test(line[i])) return undefined;
    }
    found.push(Buffer.from(word, 'latin1').toString());
  }
}

/** A word as it has to stand in a file to be read back the same: quoted only where it must be. */
export function quoteWord(word: string): string {
  if (/^[\x21-\x7e]+$/.test(word) && !/["'#\\]/.test(word)) return word;
  let quoted = '"';
  for (const byte of Buffer.from(word)) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === '\\') quoted += `\\${char}`;
    else if (byte >= 0x20 && byte <= 0x7e) quoted += char;
    else quoted += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${quoted}"`;
}

/** The lines of a file and of the files it includes, in order, without comments. Throws ConfigError. */
export function readConfigFile(path: string): ConfigLine[] {
  const lines: ConfigLine[] = [];
  readInto(lines, path, 0);
  return lines;
}

/** The same from standard input, to its end. */
export function readConfigInput(name: string): ConfigLine[] {
  const chunks: Buffer[] = [];
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    try {
      const length = readSync(0, chunk);
      if (length === 0) return readConfigText(Buffer.concat(chunks).toString('latin1'), name);
      chunks.push(chunk.subarray(0, length));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
        throw new ConfigError(`cannot read the configuration from ${name}: ${systemMessage(error)}`);
      }
      // Nothing else runs yet.
      Atomics.wait(sleeper, 0, 0, RETRY_MS);
    }
  }
}

/** `readConfigFile` for text from elsewhere; `name` is for messages. */
export function readConfigText(text: string, name: string): ConfigLine[] {
  const lines: ConfigLine[] = [];
  parseInto(lines, text, name, 0);
  return lines;
}

function readInto(lines: ConfigLine[], path: string, depth: number): void {
  let text: string;
  try {
    text = readFileSync(path, 'latin1');
  } catch (error) {
    throw new ConfigError(`cannot read the config file '${path}': ${systemMessage(error)}`);
  }
  parseInto(lines, text, path, depth);
}

function parseInto(lines: ConfigLine[], text: string, name: string, depth: number): void {
  withoutMark(text)
    .split('\n')
    .forEach((raw, index) => {
      const line = raw.trim();
      if (line === '' || line.startsWith('#')) return;
      const where = `in ${name} line ${index + 1}`;
      const found = splitWords(line);
      if (found === undefined) throw new ConfigError(`unbalanced quotes ${where}`);
      // Of bytes that are space here, though not to `trim`.
      if (found.length === 0) return;
      if (found[0].toLowerCase() !== 'include') {
        lines.push({ words: found, where, included: depth > 0 });
        return;
      }
      if (found.length !== 2) throw new ConfigError(`'include' takes one file, ${where}`);
      if (depth === MAX_INCLUDE_DEPTH)
        throw new ConfigError(`includes nest deeper than ${MAX_INCLUDE_DEPTH}, ${where}`);
      for (const path of includedPaths(found[1])) readInto(lines, path, depth + 1);
    });
}

/** A file's text without what is no part of its first line. */
export function withoutMark(text: string): string {
  return text.startsWith(MARK) ? text.slice(MARK.length) : text;
}

/** The files an include names: one, or those of a directory that match a pattern in the last part of the path. */
function includedPaths(path: string): string[] {
  const absolute = resolve(path);
  if (!/[*?[]/.test(basename(absolute))) return [absolute];
  const pattern = Buffer.from(basename(absolute));
  let names: string[];
  try {
    names = readdirSync(dirname(absolute)).sort();
  } catch (error) {
    throw new ConfigError(`cannot read the included directory '${dirname(absolute)}': ${systemMessage(error)}`);
  }
  return names
    .filter((name) => {
      const bytes = Buffer.from(name);
      return !name.startsWith('.') && globMatch(pattern, 0, pattern.length, bytes, 0, bytes.length);
    })
    .map((name) => join(dirname(absolute), name));
}

/** The option name that a raw line of a file begins with, in lower case; empty for comments and blank lines. */
export function firstWord(line: string): string {
  const trimmed = line.trim();
  return trimmed.startsWith('#') ? '' : (splitWords(trimmed)?.[0] ?? '').toLowerCase();
}

const SIGNATURE = '# Generated by CONFIG REWRITE';

/**
 * The text of a file with new values: comments, order and lines we know nothing of stay as they are. `nameOf` tells the
 * option a line is about, undefined for others; `wanted` gives each option's lines, those of an option that must stand at the
 * end (behind an include that sets it too) with `atEnd`.
 */
export function rewriteText(
  text: string,
  nameOf: (word: string) => string | undefined,
  wanted: ReadonlyMap<string, { lines: string[]; atEnd: boolean }>,
): string {
  const pending = new Map([...wanted].map(([name, { lines }]) => [name, [...lines]]));
  const kept: string[] = [];
  for (const line of text.replace(/\n$/, '').split('\n')) {
    const name = nameOf(firstWord(line));
    if (name === undefined) {
      kept.push(line);
      continue;
    }
    const replacement = wanted.get(name)?.atEnd ? undefined : pending.get(name)?.shift();
    if (replacement !== undefined) kept.push(replacement);
  }
  const added = [...pending.values()].flat();
  if (added.length > 0 && !kept.includes(SIGNATURE)) kept.push(SIGNATURE);
  return `${[...kept, ...added].join('\n')}\n`;
}

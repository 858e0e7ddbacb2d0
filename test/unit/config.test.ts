import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SETTINGS, Settings } from '../../engine/settings.ts';
import { Config, ConfigError, helpText } from '../../net/config.ts';
import { OPTION_NAMES, OPTIONS } from '../../net/config-options.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'config-'));
  path = join(dir, 'millrace.conf');
});
afterEach(() => rmSync(dir, { recursive: true }));

function parsed(...args: string[]): Config {
  const config = new Config();
  expect(config.parseArgs(args)).toBe('run');
  return config;
}

function mistake(...args: string[]): string {
  try {
    new Config().parseArgs(args);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const { message } = error as ConfigError;
    expect(message).not.toContain('\n');
    return message;
  }
  return '';
}

describe('defaults', () => {
  it('are legal values of their own options and print as they are read', () => {
    const config = new Config();
    for (const name of OPTION_NAMES) {
      const { kind, many } = { kind: OPTIONS[name].kind, many: OPTIONS[name].kind.many };
      const text = config.text(name);
      const again = kind.parse(many ? text.split(' ') : [text], config.get(name) as never);
      expect(again, name).toMatchObject({ text });
    }
  });

  it('agree with those the engine begins with', () => {
    const settings = new Settings();
    const named = () => SETTINGS.map(([name], i) => [name, settings.f64[i]]);
    const before = named();
    new Config(settings);
    expect(named()).toEqual(before);
  });

  it('are typed', () => {
    const config = new Config();
    const port: number = config.get('port');
    const bind: readonly string[] = config.get('bind');
    const dispatch: 'auto' | 'inline' | 'ring' = config.get('dispatch');
    expect([port, bind, dispatch]).toEqual([6379, ['127.0.0.1', '-::1'], 'auto']);
    expect(config.get('client-output-buffer-limit').pubsub).toEqual({
      hardBytes: 33554432,
      softBytes: 8388608,
      softSeconds: 60,
    });
  });
});

describe('the command line', () => {
  it('reads flags of one word, of several and of none', () => {
    const config = parsed('--port', '7001', '--bind', 'a', '-b', '--save', '--maxmemory', '1gb', '--PORT', '7002');
    expect(config.get('port')).toBe(7002);
    expect(config.get('bind')).toEqual(['a', '-b']);
    expect(config.get('save')).toEqual([]);
    expect(config.get('maxmemory')).toBe(2 ** 30);
    expect(config.settings.get('maxmemory')).toBe(2 ** 30);
  });

  it('takes several words quoted as one where an option has several', () => {
    const config = parsed('--bind', '127.0.0.1 ::1', '--client-output-buffer-limit', 'normal 4mb 0 0');
    expect(config.get('bind')).toEqual(['127.0.0.1', '::1']);
    expect(config.get('client-output-buffer-limit').normal.hardBytes).toBe(4 * 1024 * 1024);
  });

  it('takes a word that looks like a flag as the value of the flag before it', () => {
    expect(parsed('--requirepass', '--secret').get('requirepass')).toBe('--secret');
    expect(parsed('--save', '', '--port', '7').get('port')).toBe(7);
    expect(parsed('--port 7 ', '--save').get('port')).toBe(7);
  });

  it('overrules the file before it', () => {
    writeFileSync(
      path,
      'port 1\nhz 20\nclient-output-buffer-limit normal 1kb 0 0\nclient-output-buffer-limit replica 2k 1 1\n',
    );
    const config = parsed(path, '--port', '2', '--client-output-buffer-limit', 'pubsub', '3', '2', '1');
    expect(config.file).toBe(path);
    expect([config.get('port'), config.get('hz')]).toEqual([2, 20]);
    expect(config.text('client-output-buffer-limit')).toBe('normal 1024 0 0 slave 2000 1 1 pubsub 3 2 1');
  });

  it('asks for help and for the version', () => {
    expect(new Config().parseArgs(['--help'])).toBe('help');
    expect(new Config().parseArgs(['--port', '1', '--help'])).toBe('help');
    expect(new Config().parseArgs(['-v'])).toBe('version');
    for (const name of OPTION_NAMES) expect(helpText()).toContain(`--${name} <`);
  });

  it.each<[string, string[]]>([
    ["unknown option 'prot' on the command line; did you mean 'port'?", ['--prot', '1']],
    ["unknown option 'max-memory' on the command line; did you mean 'maxmemory'?", ['--max-memory', '1']],
    ["unknown option 'daemonize' on the command line; --help lists all there are", ['--daemonize', 'yes']],
    [
      "unknown option 'daemonize' on the command line; --help lists all there are; unknown too: pidfile, syslog-facility",
      ['--daemonize', 'yes', '--port', '1', '--pidfile', 'f', '--daemonize', 'no', '--syslog-facility', 'x'],
    ],
    ["unknown option 'port=' on the command line; there is a space between an option and its value", ['--port=7']],
    ["bad value '70000' for 'port' on the command line: it takes a whole number from 0 to 65535", ['--port', '70000']],
    ["bad value 'x' for 'dispatch' on the command line: it takes auto, inline, ring", ['--dispatch', 'x']],
    ["bad value '' for 'hz' on the command line: it takes a whole number from 0 to 2147483647", ['--hz', '']],
    ["wrong number of arguments for 'port' on the command line; it takes a whole number from 0 to 65535", ['--port']],
    [
      "wrong number of arguments for 'hz' on the command line; it takes a whole number from 0 to 2147483647",
      ['--hz', '1', '2'],
    ],
    [
      "bad value '900' for 'save' on the command line: it takes <seconds> <changes>, once or more; \"\" is never",
      ['--save', '900'],
    ],
    ["bad value 'a/b' for 'dbfilename' on the command line: can't be a path, just a name", ['--dbfilename', 'a/b']],
    [
      "bad value '/dev/null' for 'dir' on the command line: there is a file of this name, not a directory",
      ['--dir', '/dev/null'],
    ],
    ["expected a --flag, found '-x' on the command line", ['-x']],
    ["expected the name of an option behind '--' on the command line", ['--']],
    ['5 workers need as many shards, but there are 4', ['--workers', '5', '--shards', '4']],
  ])('is refused: %s', (message, args) => expect(mistake(...args)).toBe(message));

  it('says in which line of which file the mistake is', () => {
    writeFileSync(path, '# a comment\nport 1\nmaxmemory 1tb\n');
    expect(mistake(path)).toMatch(`bad value '1tb' for 'maxmemory' in ${path} line 3: it takes bytes (100, 64kb`);
    writeFileSync(path, 'port 1\nrequirpass secret\n');
    expect(mistake(path)).toBe(`unknown option 'requirpass' in ${path} line 2; did you mean 'requirepass'?`);
  });

  it('makes dir absolute', () => expect(parsed('--dir', 'd1').get('dir')).toBe(join(process.cwd(), 'd1')));
});

describe('CONFIG GET', () => {
  const config = new Config();
  it('finds by name and by pattern, each option once, with the name as it was asked for', () => {
    expect(config.match(['MaxMemory', 'maxmem*', 'nosuch', 'hz', 'h[z]'])).toEqual([
      ['MaxMemory', '0'],
      ['maxmemory-policy', 'noeviction'],
      ['maxmemory-samples', '5'],
      ['hz', '10'],
    ]);
    expect(config.match(['HASH-MAX-*-ENTRIES'])).toEqual([
      ['hash-max-listpack-entries', '512'],
      ['hash-max-ziplist-entries', '512'],
    ]);
    expect(config.match([])).toEqual([]);
  });
});

describe('CONFIG SET', () => {
  it('sets all and writes through to the settings of the engine', () => {
    const config = new Config();
    const error = config.setMany([
      ['maxmemory', '2mb'],
      ['MAXMEMORY-policy', 'Allkeys-LFU'],
      ['hash-max-ziplist-entries', '7'],
      ['hz', '1000'],
    ]);
    expect(error).toBeUndefined();
    expect(config.settings.get('maxmemory')).toBe(2 * 1024 * 1024);
    expect(config.settings.get('maxmemory-policy')).toBe(3);
    expect(config.settings.get('hash-max-listpack-entries')).toBe(7);
    expect(config.text('hz')).toBe('500');
  });

  it('keeps numbers that no double holds exact in what it prints', () => {
    const config = new Config();
    config.setMany([['maxmemory', '18446744073709551615']]);
    expect(config.text('maxmemory')).toBe('18446744073709551615');
  });

  it('sets nothing when one value is bad', () => {
    const config = new Config();
    const error = config.setMany([
      ['maxmemory', '2mb'],
      ['hz', 'x'],
    ]);
    expect(error).toBe(
      "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
    );
    expect(config.get('maxmemory')).toBe(0);
    expect(config.settings.get('maxmemory')).toBe(0);
  });

  it('calls hooks once for what changed, and puts everything back when one refuses', () => {
    const config = new Config();
    const seen: string[] = [];
    config.onChange('timeout', (value) => {
      seen.push(`timeout ${value}`);
      return undefined;
    });
    config.onChange('maxclients', (value) => {
      seen.push(`maxclients ${value}`);
      return value > 20000 ? 'too many' : undefined;
    });
    config.setMany([
      ['timeout', '5'],
      ['maxclients', '10000'],
    ]);
    expect(seen).toEqual(['timeout 5']);
    const error = config.setMany([
      ['timeout', '6'],
      ['maxclients', '20001'],
    ]);
    expect(error).toBe("ERR CONFIG SET failed (possibly related to argument 'maxclients') - too many");
    expect(seen.slice(1)).toEqual(['timeout 6', 'maxclients 20001', 'timeout 5', 'maxclients 10000']);
    expect([config.get('timeout'), config.text('maxclients')]).toEqual([5, '10000']);
  });

  it('refuses what cannot change and what does not exist here', () => {
    const config = new Config();
    const failed = (name: string, value: string) => config.setMany([[name, value]]);
    expect(failed('workers', '3')).toBe(
      "ERR CONFIG SET failed (possibly related to argument 'workers') - can't set immutable config",
    );
    expect(failed('save', '60')).toMatch('Invalid save parameters');
    expect(failed('save', '60 1 5 2')).toBeUndefined();
    expect(config.get('save')).toEqual([
      { seconds: 60, changes: 1 },
      { seconds: 5, changes: 2 },
    ]);
    expect(failed('save', '')).toBeUndefined();
    expect(config.get('save')).toEqual([]);
  });
});

describe('CONFIG REWRITE', () => {
  /** The file, without the directory, which is always told. */
  function rewritten(config: Config): string {
    expect(config.rewrite()).toBeUndefined();
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines).toContain(`dir ${process.cwd()}`);
    return lines.filter((line) => !line.startsWith('dir ')).join('\n');
  }

  it('keeps comments, order and lines about defaults, and adds what is new at the end', () => {
    writeFileSync(path, '# top\nport 7\n\n  # hz is next\nhz 10\nhash-max-ziplist-value 9\nhz 20\n# end\n');
    const config = parsed(path, '--timeout', '3');
    config.setMany([
      ['hz', '10'],
      ['requirepass', 'a "b" é'],
    ]);
    const expected =
      '# top\nport 7\n\n  # hz is next\nhz 10\nhash-max-listpack-value 9\n# end\n' +
      '# Generated by CONFIG REWRITE\ntimeout 3\nrequirepass "a \\"b\\" \\xc3\\xa9"\n';
    expect(rewritten(config)).toBe(expected);
    expect(rewritten(config)).toBe(expected);
    expect(parsed(path).get('requirepass')).toBe('a "b" é');
  });

  it('leaves out the mark of UTF-8, which would hide the first line from it', () => {
    writeFileSync(path, '\ufeffport 7\nhz 20\n');
    const config = parsed(path);
    config.set('port', 6379);
    expect(rewritten(config)).toBe('port 6379\nhz 20\n# Generated by CONFIG REWRITE\n');
  });

  it('writes options of several lines and of several words', () => {
    writeFileSync(path, 'client-output-buffer-limit normal 1 0 0\nbind 1.2.3.4 -::1\nsave ""\n');
    const config = parsed(path);
    config.setMany([['client-output-buffer-limit', 'pubsub 4 3 2']]);
    expect(rewritten(config)).toBe(
      'client-output-buffer-limit normal 1 0 0\nbind 1.2.3.4 -::1\nsave ""\n# Generated by CONFIG REWRITE\n' +
        'client-output-buffer-limit slave 268435456 67108864 60\nclient-output-buffer-limit pubsub 4 3 2\n',
    );
  });

  it('overrules included files at the end, also with a default', () => {
    const other = join(dir, 'other.conf');
    writeFileSync(other, 'hz 50\n');
    writeFileSync(path, `hz 40\ninclude ${other}\nport 7\n`);
    const config = parsed(path);
    expect(config.get('hz')).toBe(50);
    config.setMany([['hz', '10']]);
    expect(rewritten(config)).toBe(`include ${other}\nport 7\n# Generated by CONFIG REWRITE\nhz 10\n`);
    expect(parsed(path).get('hz')).toBe(10);
  });

  it('leaves bytes it does not understand alone', () => {
    writeFileSync(path, Buffer.from('# caf\xe9\nport 7', 'latin1'));
    const config = parsed(path);
    expect(config.rewrite()).toBeUndefined();
    expect(readFileSync(path, 'latin1')).toMatch(/^# caf\xe9\nport 7\n#.*\ndir .*\n$/);
  });

  it('fails with one line', () => {
    expect(new Config().rewrite()).toBe('ERR The server is running without a config file');
    writeFileSync(path, 'port 7');
    const config = parsed(path);
    rmSync(path);
    expect(config.rewrite()).toBe('ERR Rewriting config file: No such file or directory');
  });
});

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDirectory } from '../../engine/log/dirlock.ts';

const MODULE = join(import.meta.dirname, '../../engine/log/dirlock.ts');
/** Locks, says so, and stays until it is killed. */
const HOLDER = `
  const { lockDirectory } = await import(process.argv[1]);
  try {
    lockDirectory(process.argv[2]);
    console.log('held');
    setInterval(() => {}, 1000);
  } catch (error) {
    console.log(error.code + ' ' + error.message);
  }
`;

let directory: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-lock-'));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

/** Starts a process that tries to lock, and gives it with what it said. */
async function holder(): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', HOLDER, MODULE, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const said = await new Promise<string>((resolve) => child.stdout!.once('data', (data) => resolve(String(data))));
  return { child, said };
}

function writeLock(path: string, text: string): void {
  rmSync(path, { force: true });
  symlinkSync(text, path);
}

describe('the lock of a directory', () => {
  it('refuses a second holder by name, and lets go', () => {
    const lock = lockDirectory(directory);
    const error = expect.objectContaining({ code: 'LOCKED', message: expect.stringContaining(String(process.pid)) });
    expect(() => lockDirectory(directory)).toThrow(error);
    lock.release();
    lockDirectory(directory).release();
    // One file is left, which carries the number on.
    expect(readdirSync(directory)).toEqual(['millrace.lock.2']);
  });

  it('is also a file with such a text, as versions before this one made it', () => {
    const path = join(directory, 'millrace.lock.1');
    lockDirectory(directory);
    const text = readlinkSync(path);
    rmSync(path);
    writeFileSync(path, `${text}\n`);
    expect(() => lockDirectory(directory)).toThrow(expect.objectContaining({ code: 'LOCKED' }));
    writeFileSync(path, 'released\n');
    lockDirectory(directory).release();
    expect(readdirSync(directory)).toEqual(['millrace.lock.2']);
  });

  it('clears away what starters that were killed have left', () => {
    const ended = spawnSync('true').pid;
    writeFileSync(join(directory, `millrace.lock.${ended}.tmp`), '');
    writeFileSync(join(directory, `millrace.lock.${process.ppid}.tmp`), '');
    lockDirectory(directory).release();
    expect(readdirSync(directory).sort()).toEqual(['millrace.lock.1', `millrace.lock.${process.ppid}.tmp`].sort());
  });

  it('refuses while another process lives, and takes over when it was killed', async () => {
    const { child, said } = await holder();
    expect(said).toContain('held');
    const error = expect.objectContaining({ code: 'LOCKED', message: expect.stringContaining(`process ${child.pid}`) });
    expect(() => lockDirectory(directory)).toThrow(error);
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    lockDirectory(directory).release();
  });

  it.runIf(existsSync('/proc/self/stat'))('takes over when the number belongs to another process now', () => {
    lockDirectory(directory);
    const path = join(directory, 'millrace.lock.1');
    const [pid, start, boot] = readlinkSync(path).split(' ');
    writeLock(path, `${pid} ${Number(start) - 1} ${boot}`);
    lockDirectory(directory);
    writeLock(join(directory, 'millrace.lock.2'), `${pid} ${start} another-boot`);
    lockDirectory(directory);
    // Made where nothing but the number is known: then that has to do.
    writeLock(join(directory, 'millrace.lock.3'), `${pid} - -`);
    expect(() => lockDirectory(directory)).toThrow('in use');
    const dead = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'latin1' }));
    writeLock(join(directory, 'millrace.lock.3'), `${dead} - -`);
    lockDirectory(directory).release();
  });

  it.runIf(existsSync('/proc/self/stat'))('survives a kill between making the lock and clearing up', () => {
    // In a container the next process often has the same number.
    lockDirectory(directory);
    const path = join(directory, 'millrace.lock.1');
    const [pid, start, boot] = readlinkSync(path).split(' ');
    writeLock(path, `${pid} ${Number(start) - 1} ${boot}`);
    linkSync(path, join(directory, `millrace.lock.${pid}.tmp`));
    lockDirectory(directory).release();
    expect(readdirSync(directory)).toEqual(['millrace.lock.2']);
  });

  it.runIf(existsSync('/proc/self/stat'))(
    'takes over from a process that has ended and that nobody has asked about',
    async () => {
      // Its parent becomes `sleep`, which never asks.
      const command = '"$@" & exec sleep 60';
      const words = [process.execPath, '--input-type=module', '-e', HOLDER, MODULE, directory];
      const parent = spawn('sh', ['-c', command, 'sh', ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
      children.push(parent);
      await new Promise((resolve) => parent.stdout!.once('data', resolve));
      expect(() => lockDirectory(directory)).toThrow('in use');
      const pid = Number(readlinkSync(join(directory, 'millrace.lock.1')).split(' ')[0]);
      process.kill(pid, 'SIGKILL');
      const stat = (): string => readFileSync(`/proc/${pid}/stat`, 'latin1');
      while (!stat().includes(') Z ') || readdirSync(`/proc/${pid}/task`).length > 1) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      lockDirectory(directory).release();
    },
  );

  it('goes to exactly one of many that find a dead holder', async () => {
    for (let round = 0; round < 2; round++) {
      const all = await Promise.all(Array.from({ length: 4 }, holder));
      expect(all.filter(({ said }) => said.startsWith('held'))).toHaveLength(1);
      expect(all.filter(({ said }) => said.startsWith('LOCKED'))).toHaveLength(3);
      const gone = all.map(({ child }) =>
        child.exitCode !== null ? undefined : new Promise((resolve) => child.once('exit', resolve)),
      );
      for (const { child } of all) child.kill('SIGKILL');
      await Promise.all(gone);
    }
  });

  it('names what is wrong with a directory that cannot be locked', () => {
    writeFileSync(join(directory, 'file'), '');
    expect(() => lockDirectory(join(directory, 'file'))).toThrow(expect.objectContaining({ code: 'IO' }));
  });
});

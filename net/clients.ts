/**
 * Every client session of one thread that reads connections, and what concerns all of them: their limits, the executor and
 * scheduler they share, CLIENT PAUSE, the counters that INFO prints, and a slow timer for what depends on time.
 */
import { type CommandRow, WRITE } from '../engine/command.ts';
import { infoLine } from './clientinfo.ts';
import type { Executor } from './executor.ts';
import { ServerLimits } from './limits.ts';
import { Scheduler } from './scheduler.ts';
import { Session, type Transport } from './session.ts';

export type LogLevel = 'debug' | 'verbose' | 'notice' | 'warning';
export type Log = (level: LogLevel, text: string) => void;

export const PAUSE_NONE = 0;
export const PAUSE_WRITE = 1;
export const PAUSE_ALL = 2;
export type PauseMode = typeof PAUSE_NONE | typeof PAUSE_WRITE | typeof PAUSE_ALL;

const HOUSEKEEPING_MS = 200;
/** An idle session keeps an empty input buffer for so long. */
const IDLE_INPUT_MS = 2000;
/** Spare output buffers kept for the next deliveries, and their size. */
const SPARE_BUFFERS = 64;
const SPARE_BUFFER_BYTES = 16 * 1024;
/** setTimeout takes no longer delays. */
const MAX_TIMER_MS = 0x7fffffff;
/** The highest number of a connection: it goes through 32-bit words to workers, and fences give negative ones a meaning. */
const MAX_ID = 0x7fffffff;

export class Clients {
  readonly sessions = new Map<number, Session>();
  readonly limits: ServerLimits;
  readonly executor: Executor;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** For INFO. */
  connectionsReceived = 0;
  connectionsRejected = 0;
  netInputBytes = 0;
  netOutputBytes = 0;
  reads = 0;
  writes = 0;
  outputLimitDisconnections = 0;
  /** What CLIENT PAUSE holds back; the executor looks here before each command. */
  pauseMode: PauseMode = PAUSE_NONE;
  private pauseUntilMs = 0;
  private pauseTimer: NodeJS.Timeout | undefined = undefined;
  private readonly postponed = new Set<Session>();
  /** Sessions whose unsent output is over the soft limit. */
  private readonly overSoftLimit = new Set<Session>();
  private nextId = 1;
  private readonly spare: Uint8Array[] = [];
  private readonly housekeeper: NodeJS.Timeout;

  constructor(executor: Executor, limits = new ServerLimits(), log: Log = () => {}) {
    this.executor = executor;
    this.limits = limits;
    this.log = log;
    this.scheduler = new Scheduler(limits, executor);
    this.housekeeper = setInterval(() => this.housekeep(Date.now()), HOUSEKEEPING_MS).unref();
  }

  /** The error line for a client that may not come in; undefined for one that may. */
  refusal(remoteAddress: string): string | undefined {
    this.connectionsReceived++;
    let text: string | undefined;
    if (this.sessions.size >= this.limits.maxClients) {
      text = '-ERR max number of clients reached\r\n';
    } else if (this.limits.protectedMode && this.limits.requirePass === '' && !isLoopback(remoteAddress)) {
      text =
        '-DENIED The server is in protected mode and has no password: only clients of its own machine are served. ' +
        "Set 'requirepass', or turn 'protected-mode' off where nobody else can reach the port.\r\n";
    }
    if (text !== undefined) this.connectionsRejected++;
    return text;
  }

  open(transport: Transport, addr: string, laddr: string, fd: number): Session {
    const session = new Session(this, transport, this.newId(), addr, laddr, fd);
    this.sessions.set(session.id, session);
    return session;
  }

  /** The number of a connection. After 2^31 - 1 of them they begin again, without those that are in use. */
  private newId(): number {
    while (this.sessions.has(this.nextId)) this.nextId = this.nextId < MAX_ID ? this.nextId + 1 : 1;
    const id = this.nextId;
    this.nextId = id < MAX_ID ? id + 1 : 1;
    return id;
  }

  get(id: number): Session | undefined {
    return this.sessions.get(id);
  }

  remove(session: Session): void {
    this.sessions.delete(session.id);
    this.postponed.delete(session);
    this.overSoftLimit.delete(session);
    this.executor.forget?.(session);
  }

  /** Writes what was delivered to sessions since the last time, one write each. */
  flush(): void {
    this.scheduler.flush();
  }

  /** To be called after `limits.requirePass` changed. Clients that are in stay in, as in Redis. */
  passwordChanged(): void {
    for (const session of this.sessions.values()) session.updateAuth();
  }

  /** Disconnects everybody and stops the timers. */
  close(): void {
    clearInterval(this.housekeeper);
    clearTimeout(this.pauseTimer);
    for (const session of [...this.sessions.values()]) session.kill();
  }

  describe(session: Session): string {
    return infoLine(session, Date.now());
  }

  // ---------------------------------------------------------------- CLIENT PAUSE

  /** Holds commands back until a time. A pause that runs is never made shorter or weaker. */
  pause(mode: PauseMode, untilMs: number): void {
    if (mode > this.pauseMode) this.pauseMode = mode;
    if (untilMs > this.pauseUntilMs) this.pauseUntilMs = untilMs;
    this.armPauseTimer();
  }

  private armPauseTimer(): void {
    clearTimeout(this.pauseTimer);
    const delayMs = Math.min(Math.max(0, this.pauseUntilMs - Date.now()), MAX_TIMER_MS);
    this.pauseTimer = setTimeout(() => {
      if (Date.now() < this.pauseUntilMs) this.armPauseTimer();
      else this.unpause();
    }, delayMs).unref();
  }

  unpause(): void {
    clearTimeout(this.pauseTimer);
    this.pauseMode = PAUSE_NONE;
    this.pauseUntilMs = 0;
    for (const session of this.postponed) session.resume();
    this.postponed.clear();
  }

  /**
   * Whether `row` has to wait for the end of a pause; then the executor answers STALLED, and the session goes on by
   * itself when the pause ends. To be asked when `pauseMode` is not PAUSE_NONE.
   */
  mustWait(session: Session, row: CommandRow): boolean {
    if (this.pauseMode === PAUSE_NONE) return false;
    if (this.pauseMode === PAUSE_WRITE && (row.flags & WRITE) === 0) return false;
    this.postponed.add(session);
    return true;
  }

  /** Clients that wait in a pause, for INFO's blocked_clients. */
  get postponedCount(): number {
    return this.postponed.size;
  }

  // ---------------------------------------------------------------- limits over time

  /** The session's unsent output is over the soft limit. */
  watchOutput(session: Session): void {
    if (session.softLimitSinceMs !== 0) return;
    session.softLimitSinceMs = Date.now();
    this.overSoftLimit.add(session);
  }

  outputLimitReached(session: Session): void {
    this.outputLimitDisconnections++;
    this.log('warning', `Client ${this.describe(session)} closed for overcoming of output buffer limits.`);
    session.kill();
  }

  private housekeep(nowMs: number): void {
    for (const session of this.overSoftLimit) this.checkSoftLimit(session, nowMs);
    const idleMs = this.limits.idleTimeoutSec * 1000;
    for (const session of this.sessions.values()) {
      const quietMs = nowMs - session.lastActiveMs;
      if (quietMs < IDLE_INPUT_MS) continue;
      session.releaseIdleInput();
      if (idleMs > 0 && quietMs > idleMs && !session.blocked && !this.postponed.has(session)) {
        this.log('verbose', 'Closing idle client');
        session.kill();
      }
    }
  }

  private checkSoftLimit(session: Session, nowMs: number): void {
    if (this.limits.outputSoftBytes === 0 || session.transport.pendingBytes <= this.limits.outputSoftBytes) {
      session.softLimitSinceMs = 0;
      this.overSoftLimit.delete(session);
    } else if (nowMs - session.softLimitSinceMs > this.limits.outputSoftSec * 1000) {
      this.outputLimitReached(session);
    }
  }

  // ---------------------------------------------------------------- output buffers

  takeBuffer(): Uint8Array {
    return this.spare.pop() ?? new Uint8Array(SPARE_BUFFER_BYTES);
  }

  giveBuffer(buffer: Uint8Array): void {
    if (buffer.length === SPARE_BUFFER_BYTES && this.spare.length < SPARE_BUFFERS) this.spare.push(buffer);
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** The values of maxmemory-policy in the order of their numbers in `Settings`. */
export const MAXMEMORY_POLICIES = [
  'volatile-lru',
  'allkeys-lru',
  'volatile-lfu',
  'allkeys-lfu',
  'volatile-random',
  'allkeys-random',
  'volatile-ttl',
  'noeviction',
] as const;

/**
 * The settings that every thread reads while it works, one f64 each in a SharedArrayBuffer, so that CONFIG SET on the
 * main thread holds everywhere from the next command on. The configuration table (net/config.ts) names, parses and
 * prints them; here is only where they lie and what they are before anything is configured.
 */
export const SETTINGS = [
  ['maxmemory', 0],
  ['maxmemory-policy', 7],
  ['maxmemory-samples', 5],
  ['appendonly', 0],
  ['lfu-log-factor', 10],
  ['lfu-decay-time', 1],
  ['hz', 10],
  ['databases', 16],
  ['proto-max-bulk-len', 512 * 1024 * 1024],
  ['hash-max-listpack-entries', 512],
  ['hash-max-listpack-value', 64],
  ['set-max-intset-entries', 512],
  ['zset-max-listpack-entries', 128],
  ['zset-max-listpack-value', 64],
  ['list-max-listpack-size', -2],
  ['stream-node-max-bytes', 4096],
  ['stream-node-max-entries', 100],
  ['slowlog-log-slower-than', 10_000],
] as const;

export type SettingName = (typeof SETTINGS)[number][0];

export class Settings {
  readonly buffer: SharedArrayBuffer;
  readonly f64: Float64Array;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(SETTINGS.length * 8);
    this.f64 = new Float64Array(this.buffer);
    if (buffer === undefined) for (let i = 0; i < SETTINGS.length; i++) this.f64[i] = SETTINGS[i][1];
  }

  set(name: SettingName, value: number): void {
    this.f64[settingIndex(name)] = value;
  }

  get(name: SettingName): number {
    return this.f64[settingIndex(name)];
  }
}

/** Where a setting lies in `f64`; call it once at module load and keep the index. */
export function settingIndex(name: SettingName): number {
  return SETTINGS.findIndex((row) => row[0] === name);
}

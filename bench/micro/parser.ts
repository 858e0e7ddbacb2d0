/** The request parser over pipelines as redis-benchmark sends them, from one buffer. */
import { Request } from '../../engine/request.ts';
import { Parser } from '../../net/parser.ts';
import type { MicroBench } from '../micro.ts';

const REQUESTS = 512;

function parsing(name: string, ...words: string[]): MicroBench {
  const one = `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
  const bytes = Uint8Array.from(Buffer.from(one.repeat(REQUESTS)));
  const parser = new Parser({ maxBulkBytes: 512 * 1024 * 1024 });
  const request = new Request();
  const fn = (): void => {
    let at = 0;
    while (at < bytes.length) at = parser.parse(request, bytes, at, bytes.length);
  };
  return { name, operations: REQUESTS, fn };
}

export default function parser(): MicroBench[] {
  return [
    parsing('PING', 'PING'),
    parsing('GET', 'GET', 'key:000000012345'),
    parsing('SET, 3 bytes', 'SET', 'key:000000012345', 'xxx'),
    parsing('SET, 64 bytes', 'SET', 'key:000000012345', 'x'.repeat(64)),
    parsing('MSET of 10', 'MSET', ...Array.from({ length: 10 }, (_, i) => [`key:${i}`, 'xxx']).flat()),
  ];
}

import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { PutConnection } from '../../bench/cluster-etcd-load.ts';
import { percentile } from '../../bench/cluster-report.ts';
import { open } from '../../bench/durability-openloop.ts';

const servers: http2.Http2Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** What a server of HTTP/2 makes of the puts: their headers and messages. */
async function fakeEtcd(seen: { path: string; type: string; message: Buffer }[]): Promise<number> {
  const server = http2.createServer();
  servers.push(server);
  server.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      seen.push({
        path: String(headers[':path']),
        type: `${headers[':method']} ${headers['content-type']} ${headers['te']}`,
        message: Buffer.concat(chunks),
      });
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      // PutResponse { 1: header { 3: revision 7 } }
      stream.end(Buffer.from([0, 0, 0, 0, 4, 0x0a, 2, 0x18, 7]));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test('puts written by hand are what a server of gRPC expects, and each answer is followed by a put', async () => {
  const seen: { path: string; type: string; message: Buffer }[] = [];
  const port = await fakeEtcd(seen);
  const socket = await open(port);
  let answers = 0;
  let enough = (): void => {};
  const done = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const client = new PutConnection(socket, `127.0.0.1:${port}`, () => {
    answers++;
    if (answers === 60) client.isStopping = true;
    if (client.isStopping && client.waiting === 0) enough();
  });
  client.start(16);
  await done;
  socket.removeAllListeners('close');
  socket.destroy();

  // Those under way when it was told to stop are answered too, none is begun.
  expect(answers).toBe(60 + 15);
  expect(seen.length).toBe(answers);
  for (const { path, type, message } of seen) {
    expect(path).toBe('/etcdserverpb.KV/Put');
    expect(type).toBe('POST application/grpc trailers');
    expect(message.readUInt8(0)).toBe(0);
    expect(message.readUInt32BE(1)).toBe(message.length - 5);
    // PutRequest { 1: key, 2: value }
    expect(message.toString('latin1', 5)).toMatch(/^\x0a\x10key:\d{12}\x12\x03xxx$/);
  }
  expect(new Set(seen.map(({ message }) => message.toString('latin1'))).size).toBeGreaterThan(50);
});

test('a percentile is the smallest value that so many do not exceed', () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i);
  expect(percentile(values, 50)).toBe(100);
  expect(percentile(values, 99)).toBe(198);
  expect(percentile(values, 100)).toBe(200);
  expect(percentile([7], 50)).toBe(7);
});

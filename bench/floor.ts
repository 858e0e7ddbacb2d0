/**
 * What node:net leaves to be won: a server that reads and writes as ours does (one shared buffer, direct writes, all of a
 * tick's writes together at its end), parses nothing, and answers each read with as many constant replies as a pipeline
 * has requests. redis-benchmark against it shows the ceiling for any server on Node on this machine:
 * `node bench/floor.ts PORT PIPELINE`, then `redis-benchmark -p PORT -P PIPELINE -t get -n 1000000 -q`.
 */
import net from 'node:net';
import { DirectWriter } from '../net/directwrite.ts';
import { readShared } from '../net/onread.ts';

const port = Number(process.argv[2] ?? 6390);
const pipeline = Number(process.argv[3] ?? 16);
const reply = Uint8Array.from(Buffer.from('+OK\r\n'.repeat(pipeline)));
const shared = new Uint8Array(64 * 1024);
const writer = DirectWriter.create();
const waiting: net.Socket[] = [];

function answerAll(): void {
  for (const socket of waiting) {
    const handle = DirectWriter.handleOf(socket);
    if (writer !== undefined && handle !== undefined) writer.write(handle, reply, 0, reply.length, () => {});
    else socket.write(reply);
  }
  waiting.length = 0;
}

const server = net.createServer({ noDelay: true }, (socket) => {
  readShared(socket, shared, () => {
    if (waiting.length === 0) setImmediate(answerAll);
    waiting.push(socket);
  });
  socket.on('error', () => {});
});
server.listen(port, '127.0.0.1');

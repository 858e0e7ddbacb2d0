/**
 * How a node that has no replica asks a member to become one: a connection of its own, the handshake without replicas, one request, one answer.
 * Main thread, before the node has its Peers.
 */
import type net from 'node:net';
import { JOIN_REPLY, type Join, type JoinReply, type PeerMessage } from '../../proto/messages.ts';
import { FrameWriter } from './frame.ts';
import { Handshaker } from './handshake.ts';
import { Link, TICK_MS } from './link.ts';
import { type TlsFiles, Transport } from './transport.ts';

/** A change of members takes a majority, and may have to wait for another one to end. */
const ANSWER_MS = 15_000;

/** Rejects when there is nobody at this address who answers, with what is to be told to the operator. */
export function askToJoin(
  { host, port }: { readonly host: string; readonly port: number },
  request: Join,
  secret: string,
  tls: TlsFiles | undefined,
): Promise<JoinReply> {
  const transport = new Transport(tls);
  return new Promise((resolve, reject) => {
    const fail = (text: string): void => reject(new Error(`no answer from ${host}:${port}: ${text}`));
    transport.connect(host, port, (socket) => ask(socket, request, secret, resolve, fail), fail);
  });
}

function ask(
  socket: net.Socket,
  request: Join,
  secret: string,
  resolve: (reply: JoinReply) => void,
  fail: (text: string) => void,
): void {
  const self = { clusterId: '', nodeId: request.nodeId, nodeName: request.nodeName, replicas: [] };
  const link = new Link(socket, new Handshaker('opener', self, secret), new FrameWriter(), {
    onProven(link: Link): void {
      link.send(request);
      link.flush();
    },
    onMessage(link: Link, message: PeerMessage): void {
      if (message.type !== JOIN_REPLY) return;
      resolve(message);
      link.close('');
    },
    onTurn(): void {},
    onAlive(): void {},
    onDrained(): void {},
    onClosed(_: Link, text: string): void {
      clearInterval(ticker);
      clearTimeout(timer);
      fail(text);
    },
  });
  const ticker = setInterval(() => link.tick(), TICK_MS);
  const timer = setTimeout(() => link.close(`no answer within ${ANSWER_MS} ms`), ANSWER_MS);
}

/**
 * The sockets between peers: TCP, or TLS where both sides show a certificate that the same authority has signed. Main thread.
 *
 * The name in a certificate is not compared with the address: members move, and what a node is called is said, and proved, by
 * the handshake. So every certificate of that authority is one of a member.
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { systemMessage } from '../files.ts';

/** Files in PEM format. */
export interface TlsFiles {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

/** A connection that is not there by then is tried anew: the system itself would try for minutes. */
const CONNECT_MS = 1000;
const TLS_HANDSHAKE_MS = 3000;

function readTlsFile(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`cannot read the file '${file}' of ${option}: ${systemMessage(error)}`);
  }
}

export class Transport {
  private readonly secure: tls.SecureContextOptions | undefined;

  /** Throws when a file cannot be read. */
  constructor(files: TlsFiles | undefined) {
    this.secure =
      files === undefined
        ? undefined
        : {
            key: readTlsFile('peer-tls-key', files.key),
            cert: readTlsFile('peer-tls-cert', files.cert),
            ca: readTlsFile('peer-tls-ca', files.ca),
            minVersion: 'TLSv1.2',
          };
  }

  /** `onSocket` gets each connection, ready to be used; `onTrouble` what went wrong before that. */
  listener(onSocket: (socket: net.Socket) => void, onTrouble: (text: string) => void): net.Server {
    if (this.secure === undefined) return net.createServer({ noDelay: true }, onSocket);
    const server = tls.createServer(
      {
        ...this.secure,
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: TLS_HANDSHAKE_MS,
        noDelay: true,
      },
      onSocket,
    );
    server.on('tlsClientError', (error) => onTrouble(error.message));
    return server;
  }

  /** Calls exactly one of the two, once and later; destroying the socket that it returns leads to `onFailure`. */
  connect(
    host: string,
    port: number,
    onSocket: (socket: net.Socket) => void,
    onFailure: (text: string) => void,
  ): net.Socket {
    const { secure } = this;
    const socket =
      secure === undefined
        ? net.connect({ host, port, noDelay: true })
        : tls.connect({ ...secure, host, port, rejectUnauthorized: true, checkServerIdentity: () => undefined });
    let text = 'closed';
    const onError = (error: Error): void => {
      text = error.message;
    };
    const onClose = (): void => {
      clearTimeout(timer);
      onFailure(text);
    };
    const timer = setTimeout(() => {
      text = `no answer within ${CONNECT_MS} ms`;
      socket.destroy();
    }, CONNECT_MS);
    socket.once('error', onError);
    socket.once('close', onClose);
    socket.once(secure === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', onError);
      socket.off('close', onClose);
      onSocket(socket);
    });
    return socket;
  }
}

import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A TCP client that writes HTTP by hand, to observe what a server does to a connection. */
export class RawClient {
  readonly socket: Socket;
  received = '';
  /** Resolves with the code of the error, or with `ended` if the server closed the connection normally. */
  readonly closed: Promise<string>;
  #changed = (): void => {};

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.received += text;
      this.#changed();
    });
    this.closed = new Promise((resolve) => {
      let ending = 'ended';
      this.socket.on('error', (error: NodeJS.ErrnoException) => {
        ending = error.code ?? error.message;
      });
      this.socket.on('close', () => {
        resolve(ending);
        this.#changed();
      });
    });
  }

  get(path = '/v3/dag_run'): this {
    this.socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    return this;
  }

  /** Waits until the received text matches, or until the connection is closed. */
  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.received) && !this.socket.closed) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }
}

import { createServer, request as httpRequest } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { listen, tlsFile } from './loopback.js';

/** An HTTP proxy on loopback that connects every host name to one port of loopback. */
export interface HttpProxy {
  readonly port: number;
  readonly connections: Socket[];
  /** Its requests. @example 'CONNECT collector.test:443', 'GET http://collector.test/x' */
  readonly asked: string[];
  /** The `Proxy-Authorization` of each request. */
  readonly authorizations: (string | undefined)[];
}

/** Options of `startHttpProxy`. */
export interface HttpProxyScript {
  /** The port to which every host name leads. */
  targetPort?: number;
  /** Status of the answer to all requests. @default it connects */
  refusal?: number;
  /** Whether clients connect to the proxy over TLS. */
  secure?: boolean;
}

/** Starts a proxy. It stops at the end of the test. */
export async function startHttpProxy(t: ExecutionContext, script: HttpProxyScript): Promise<HttpProxy> {
  const asked: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const server =
    script.secure === true ? createSecureServer({ key: tlsFile('server-key.pem'), cert: tlsFile('server.pem') }) : createServer();
  server.on('connect', (request, client: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    authorizations.push(request.headers['proxy-authorization']);
    client.on('error', () => {});
    if (script.refusal !== undefined) {
      client.end(`HTTP/1.1 ${script.refusal} Refused\r\nproxy-authenticate: Basic realm="test"\r\ncontent-length: 4\r\n\r\nnope`);
      return;
    }
    const target = connect(script.targetPort ?? 0, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      client.pipe(target).pipe(client);
    });
    target.on('error', () => client.destroy());
    client.on('close', () => target.destroy());
  });
  server.on('request', (request, response) => {
    asked.push(`${request.method} ${request.url}`);
    authorizations.push(request.headers['proxy-authorization']);
    if (script.refusal !== undefined) {
      response.writeHead(script.refusal).end();
      return;
    }
    const { pathname, search } = new URL(request.url ?? '');
    const { host = '', 'user-agent': agent = '' } = request.headers;
    const onward = httpRequest({
      port: script.targetPort,
      host: '127.0.0.1',
      path: pathname + search,
      headers: { host, 'user-agent': agent },
    });
    onward.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502);
      answer.pipe(response);
    });
    onward.once('error', () => response.writeHead(502).end());
    onward.end();
  });
  return { ...(await listen(t, server)), asked, authorizations };
}

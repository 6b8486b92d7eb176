import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get as httpGet, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import type { ExecutionContext } from 'ava';

import test from 'ava';

import { refusedPort, silentServer, startCollector } from '../../src/testing/index.js';
import type { Collector, CollectorOptions, Fault } from '../../src/testing/index.js';
import { selfSignedCertificate } from '../helpers/certificate.js';
import { until } from '../helpers/loopback.js';
import { RawClient } from '../helpers/raw-client.js';

async function start(t: ExecutionContext, options?: CollectorOptions): Promise<Collector> {
  const collector = await startCollector(options);
  t.teardown(() => collector.close());
  return collector;
}

/** The status of the answer, or the code of the error. */
async function ask(get: typeof httpGet, url: string, options: { ca?: string; agent?: Agent } = {}): Promise<number | string> {
  return new Promise((resolve) => {
    get(url, { agent: false, ...options }, (response: IncomingMessage) => {
      response.resume().on('end', () => {
        resolve(response.statusCode ?? 0);
      });
      response.on('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? error.message);
      });
    }).on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? error.message);
    });
  });
}

test('keeps its requests, decoded like Python', async (t) => {
  const collector = await start(t);
  const url = '/base/v3/dag_run?status=a+b%2B&name=%C3%A9&v=2.10.1%252Bastro.1&empty=&bare&&broken=%zz%FF&=x';
  const client = new RawClient(collector.port);
  client.socket.write(`GET ${url} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: raw\r\nX-Two: a\r\nX-Two: b\r\n\r\n`);
  await client.until(/\r\n\r\n/);

  t.regex(client.received, /^HTTP\/1\.1 200 OK\r\n/);
  t.regex(client.received, /\r\ncontent-length: 0\r\n/i);
  const [kept] = collector.requests;
  t.is(collector.requests.length, 1);
  t.is(kept?.method, 'GET');
  t.is(kept?.url, url);
  t.is(kept?.path, '/base/v3/dag_run');
  t.is(kept?.eventType, 'dag_run');
  t.deepEqual(kept?.query, [
    ['status', 'a b+'],
    ['name', 'é'],
    ['v', '2.10.1%2Bastro.1'],
    ['empty', ''],
    ['bare', ''],
    ['broken', '%zz\uFFFD'],
    ['', 'x'],
  ]);
  t.is(kept?.headers['user-agent'], 'raw');
  t.is(kept?.headers['x-two'], 'a, b');
  t.is(kept?.status, 200);
  t.is(kept?.remotePort, client.socket.localPort);
  t.is(collector.answered2xx, 1);
});

test('any other path has no event type, and a body is ignored', async (t) => {
  const collector = await start(t);
  const asked = request(`${collector.url}/v1/1.8/dag_run`, { method: 'POST', agent: false });
  asked.end('x'.repeat(1_000_000));
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  const [kept] = collector.requests;
  t.is(kept?.method, 'POST');
  t.is(kept?.eventType, null);
  t.deepEqual(kept?.query, []);
});

test('listens on the loopback interface and names its address', async (t) => {
  const collector = await start(t);
  t.is(collector.url, `http://127.0.0.1:${collector.port}`);
  const named = await start(t, { host: 'localhost' });
  t.is(named.url, `http://localhost:${named.port}`);
  t.is(await ask(httpGet, named.url), 200);
});

test('the URL has an IPv6 address in brackets', async (t) => {
  const collector = await startCollector({ host: '::1' }).catch((error: NodeJS.ErrnoException) => error.code ?? 'unknown');
  if (typeof collector === 'string') {
    t.true(['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(collector), 'a machine without IPv6');
  } else {
    t.is(collector.url, `http://[::1]:${collector.port}`);
    await collector.close();
  }
});

test('an address of another machine is an error', async (t) => {
  await t.throwsAsync(startCollector({ host: '203.0.113.1' }), { code: 'EADDRNOTAVAIL' });
});

test('a kept-alive connection is one connection', async (t) => {
  const collector = await start(t);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.teardown(() => {
    agent.destroy();
  });
  for (let index = 0; index < 3; index += 1) t.is(await ask(httpGet, collector.url, { agent }), 200);
  t.is(collector.connections, 1);
  t.is(collector.openConnections, 1);
  t.is(new Set(collector.requests.map(({ remotePort }) => remotePort)).size, 1);
  agent.destroy();
  await until(() => collector.openConnections === 0);
  t.is(collector.connections, 1);
});

test('a list of faults is used in order, its last entry repeats, and setFaults replaces it', async (t) => {
  const collector = await start(t, { faults: [{ kind: 'status', status: 503 }, { kind: 'ok' }, { kind: 'status', status: 404 }] });
  const seen: (number | string)[] = [];
  for (let index = 0; index < 4; index += 1) seen.push(await ask(httpGet, collector.url));
  t.deepEqual(seen, [503, 200, 404, 404]);
  collector.setFaults([
    { kind: 'ok', status: 204 },
    { kind: 'status', status: 500 },
  ]);
  t.is(await ask(httpGet, collector.url), 204);
  t.is(await ask(httpGet, collector.url), 500);
  t.deepEqual(
    collector.requests.map(({ status }) => status),
    [503, 200, 404, 404, 204, 500],
  );
  t.is(collector.answered2xx, 2);
});

test('a function decides by the request and its number', async (t) => {
  const collector = await start(t, {
    faults: ({ eventType }, index): Fault => (eventType === 'dag_run' ? { kind: 'status', status: 500 + index } : { kind: 'ok' }),
  });
  t.is(await ask(httpGet, `${collector.url}/v3/task_instance`), 200);
  t.is(await ask(httpGet, `${collector.url}/v3/dag_run`), 501);
});

test('waitFor resolves on arrival, at once for past requests, and rejects when the collector closes', async (t) => {
  const collector = await startCollector({ faults: { kind: 'hang' } });
  const two = collector.waitFor(2);
  const client = new RawClient(collector.port).get();
  await collector.waitFor(1);
  t.is(collector.requests.length, 1);
  new RawClient(collector.port).get();
  await two;
  await collector.waitFor(0);
  const three = t.throwsAsync(collector.waitFor(3), { message: 'Closed after 2 of the 3 requests waited for.' });
  await collector.close();
  await three;
  await t.throwsAsync(collector.waitFor(3), { message: /^Closed after 2/ });
  await t.notThrowsAsync(collector.waitFor(2));
  await client.closed;
});

test('close() ends requests in flight, and is idempotent', async (t) => {
  const collector = await startCollector({ faults: [{ kind: 'hang' }, { kind: 'drip', intervalMs: 1 }, { kind: 'ok', delayMs: 60_000 }] });
  const clients = [new RawClient(collector.port).get(), new RawClient(collector.port).get(), new RawClient(collector.port).get()];
  await collector.waitFor(3);
  const first = collector.close();
  t.is(collector.close(), first);
  await first;
  await Promise.all(clients.map((client) => client.closed));
  t.is(collector.openConnections, 0);
  t.is(await new RawClient(collector.port).closed, 'ECONNREFUSED');
});

test('`await using` closes it', async (t) => {
  const port = await (async () => {
    await using collector = await startCollector();
    return collector.port;
  })();
  t.is(await new RawClient(port).closed, 'ECONNREFUSED');
});

test('with `tls` it uses https, and only its own certificate is trusted', async (t) => {
  const tls = selfSignedCertificate();
  const collector = await start(t, { tls, faults: [{ kind: 'ok' }, { kind: 'reset' }, { kind: 'truncated' }, { kind: 'not_http' }] });
  t.is(collector.url, `https://127.0.0.1:${collector.port}`);
  t.is(await ask(httpsGet, `${collector.url}/v3/dag_run`, { ca: tls.cert }), 200);
  t.is(await ask(httpsGet, collector.url, { ca: tls.cert }), 'ECONNRESET');
  t.is(await ask(httpsGet, collector.url, { ca: tls.cert }), 'ECONNRESET');
  t.regex(String(await ask(httpsGet, collector.url, { ca: tls.cert })), /^HPE_/);
  t.is(collector.requests[0]?.eventType, 'dag_run');

  t.is(await ask(httpsGet, collector.url), 'DEPTH_ZERO_SELF_SIGNED_CERT');
  t.is(await ask(httpGet, collector.url.replace('https:', 'http:')), 'ECONNRESET');
  t.is(collector.requests.length, 4);
});

test('https to a collector without tls is a mismatch', async (t) => {
  const collector = await start(t);
  t.regex(String(await ask(httpsGet, collector.url.replace('http:', 'https:'))), /SSL|EPROTO/);
  t.is(collector.requests.length, 0);
  t.is(await ask(httpGet, collector.url), 200, 'it still answers');
});

/** Runs a module in a child process. The exit code is null if the child was killed. */
async function run(code: string): Promise<{ exitCode: number | null; stderr: string }> {
  const kit = new URL('../../src/testing/index.js', import.meta.url).href;
  const script = `
    import { once } from 'node:events';
    import { connect } from 'node:net';
    import { startCollector } from ${JSON.stringify(kit)};
    ${code}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'pipe'], timeout: 20_000 });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  return { exitCode, stderr };
}

test("an unref'd collector lets the process end during any fault", async (t) => {
  const { exitCode } = await run(`
    const collector = await startCollector({ faults: [{ kind: 'drip', intervalMs: 5 }, { kind: 'ok', delayMs: 60000 }, { kind: 'hang' }] });
    for (let index = 0; index < 3; index += 1) {
      if (index === 1) collector.unref();
      const client = connect(collector.port, '127.0.0.1').unref();
      client.write('GET / HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n');
      const hold = setTimeout(() => {}, 60000);
      await collector.waitFor(index + 1);
      clearTimeout(hold);
    }
  `);
  t.is(exitCode, 0);
});

test('a bad fault from a function is an uncaught exception', async (t) => {
  const { exitCode, stderr } = await run(`
    const collector = await startCollector({ faults: () => ({ kind: 'explode' }) });
    connect(collector.port, '127.0.0.1').on('error', () => {}).write('GET / HTTP/1.1\\r\\nhost: localhost\\r\\n\\r\\n');
  `);
  t.is(exitCode, 1);
  t.regex(stderr, /TypeError: startCollector: unknown fault explode; known are ok, status,/);
});

test('a refused port refuses', async (t) => {
  t.is(await new RawClient(await refusedPort()).closed, 'ECONNREFUSED');
});

test('a silent server accepts connections and reads nothing', async (t) => {
  const server = await silentServer();
  t.teardown(() => server.close());
  t.is(server.url, `http://127.0.0.1:${server.port}`);
  const client = new RawClient(server.port).get();
  client.socket.write(Buffer.alloc(64 * 1024 * 1024));
  await until(() => server.connections === 1);
  const second = new RawClient(server.port);
  await until(() => server.connections === 2);
  t.is(server.openConnections, 2);
  t.is(client.received, '');
  t.true(client.socket.writableLength > 0);
  await server.close();
  await Promise.all([client.closed, second.closed]);
  t.is(server.openConnections, 0);
});

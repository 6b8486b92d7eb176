import { gzipSync } from 'node:zlib';

/** Random numbers from 0 up to 1 that follow from a seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const METHODS = [
  'GET',
  'GET',
  'GET',
  'GET',
  'GET',
  'POST',
  'HEAD',
  'CONNECT',
  'OPTIONS',
  'get',
  'PRI',
  'G\0T',
  '',
  'PROPFIND',
  'X'.repeat(300),
];
const PATHS = [
  '/astronomer-cosmos/v3/dag_run',
  '/v3/task_instance',
  '/v3/dbt_docs_access',
  '/v3/unknown',
  '/v3/',
  '/v3',
  '/',
  '',
  '*',
  '//',
  '/v3/dag_run/..',
  '/%76%33/dag_run',
  '/v1/1.8.0/2.10.1/3.11/Linux/x86_64/dag_run/success/0123456789ab/3/3',
  '/v2/1.11.0/2.10.1/3.11/Linux/x86_64/dag_run/success/0123456789ab/3/3/local',
  '/dag-factory/v2/1.1.0/2.10.1/3.11/Linux/x86_64/dag_run/success/0123456789ab/3',
  '/dag-factory/v2/../../dag_run',
  '/v3/events',
  '/healthz',
  '/readyz',
  '/metrics',
  '/statusz',
  '/status/events',
  '/status/events?x',
  'http://example.com/v3/dag_run',
  'example.com:443',
  '/\\..\\',
  '/v3/dag_run\0',
  '/v3/d\xe4g',
];
const QUERIES = [
  '',
  '?',
  '?status=success&task_count=3',
  '?status=failed&duration=1e-05',
  '?status',
  '?=',
  '?&&&',
  '?a=b=c',
  '?status=%',
  '?status=%zz',
  '?status=%FF',
  '?status=%00',
  '?__proto__=1',
  '?status=success&status=success',
  '?x=\x80\xff',
  '?x=<script>',
  '??',
  '?#',
  '?duration=1e999',
  '?task_count=-1',
  '?airflow_version=%2525252525',
];
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.10', 'HTTP', '', 'http/1.1', 'HTTP/1.1 '];
const ENDS = ['\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\n\r\n', '\0\r\n', ''];
const HEADERS = [
  'Accept: */*',
  'Connection: keep-alive',
  'Connection: close',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Content-Length: 5',
  'Content-Length: 0',
  'Content-Length: -1',
  'Content-Length: 99999999999999999999',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity, chunked',
  'Expect: 100-continue',
  'Expect: nonsense',
  'Origin: null',
  'Sec-Fetch-Mode: cors',
  'Sec-Fetch-Site: same-origin',
  'Sec-Fetch-Site: none',
  'Referer: http://127.0.0.1/',
  'Host: example.com',
  'Host:',
  ': nameless',
  'No colon',
  ' folded',
  'X:\x01\x02',
  'X: \xff\xfe',
  'Cookie: a=b',
  'Range: bytes=0-',
  'Trailer: X',
  'Proxy-Connection: keep-alive',
  'Keep-Alive: timeout=99999',
  `Long: ${'x'.repeat(9000)}`,
];

/**
 * A request with some hostile bytes. Most of it is valid: a request that is all wrong is refused at the first byte.
 *
 * @param usualPath The path of most of them.
 */
export function hostileRequest(random: () => number, port: number, usualPath = '/v3/dag_run'): Buffer {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const oddness = random() * 0.4;
  const maybe = (usual: string, from: readonly string[]): string => (random() < oddness ? pick(from) : usual);
  if (random() < 0.05) return noise(random, 1 + Math.floor(random() * 2000));
  let text = '';
  for (let requests = random() < 0.15 ? 4 : 1; requests > 0; requests -= 1) {
    const long = random() < 0.03 ? `?x=${'y'.repeat(Math.floor(random() * 30_000))}` : maybe('?status=success&task_count=3', QUERIES);
    text += `${maybe('GET', METHODS)} ${maybe(usualPath, PATHS)}${long} ${maybe('HTTP/1.1', VERSIONS)}${maybe('\r\n', ENDS)}`;
    if (random() > oddness / 4) text += `Host: 127.0.0.1:${port}${maybe('\r\n', ENDS)}`;
    for (let headers = random() < 0.02 ? 300 : Math.floor(random() * 4); headers > 0; headers -= 1)
      text += `${maybe('Accept: */*', HEADERS)}${maybe('\r\n', ENDS)}`;
    text += random() > oddness / 4 ? '\r\n' : '';
    if (random() < oddness / 4) text += pick(['hello', '5\r\nhello\r\n0\r\n\r\n', 'zz\r\n', 'x'.repeat(100_000), '\0'.repeat(50)]);
  }
  const bytes = Buffer.from(text, 'latin1');
  // Replaces a few bytes.
  if (random() < oddness)
    for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips -= 1)
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
  return random() < oddness / 4 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes;
}

const BATCH_HEADERS = [
  'Content-Type: text/plain',
  'Content-Type: application/x-ndjson; charset=utf-16',
  'Content-Encoding: gzip, gzip',
  'Content-Encoding: br',
  'Content-Length: 3',
  'Content-Length: 2000000',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Expect: 100-continue',
  ...HEADERS,
];
const LINES = [
  '',
  '{',
  'null',
  '[]',
  '{}',
  '{"id":"019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b"}',
  '{"id":"019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b","id":"x"}',
  '{"__proto__":{"id":"019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b"}}',
  '\u{feff}{}',
  '\0',
  `{"id":"${'x'.repeat(5000)}"}`,
];
const FIELDS = [
  '"status":null',
  '"status":{"a":[1]}',
  '"status":"\\ud800"',
  '"status":"success","status":"failed"',
  '"task_count":-1',
  '"task_count":1e400',
  '"duration":7',
  '"__proto__":1',
  '"constructor":"x"',
  '"new_field":"secret"',
  `"operator_name":"${'y'.repeat(20_000)}"`,
  '"status":"success"',
  '"dag_hash":"h0123456789ab"',
];

/** A batch with some hostile bytes: of the head, of its lines, of gzip, or none. */
export function hostileBatch(random: () => number, port: number): Buffer {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const oddness = random() * 0.4;
  const maybe = (usual: string, from: readonly string[]): string => (random() < oddness ? pick(from) : usual);
  const digits = (count: number): string => Array.from({ length: count }, () => Math.floor(random() * 16).toString(16)).join('');
  const line = (): string => {
    const id = `019a2b3c-${digits(4)}-7${digits(3)}-8${digits(3)}-${digits(12)}`;
    const time = maybe('2026-11-28T22:30:00.000Z', ['2026-02-30T00:00:00.000Z', '2026-11-28T22:30:00Z', '', 'now']);
    const fields = random() < 0.5 ? '' : `,${pick(FIELDS)}`;
    return `{"id":"${id}","time":"${time}","event":"${maybe('dag_run', ['other', '', 'DAG', '__proto__'])}"${fields}}`;
  };
  const lines = Array.from({ length: Math.floor(random() * (random() < 0.02 ? 3000 : 6)) }, () =>
    random() < oddness / 4 ? pick(LINES) : line(),
  );
  let body: Buffer = Buffer.from(lines.map((each) => `${each}${maybe('\n', ['\r\n', '\n\n', ''])}`).join(''));
  const isGzip = random() < 0.4;
  if (isGzip) body = random() < 0.05 ? gzipSync(Buffer.alloc(3_000_000)) : gzipSync(body);
  if (random() < oddness / 2 && body.length > 0) body[Math.floor(random() * body.length)] = Math.floor(random() * 256);
  if (random() < oddness / 4) body = body.subarray(0, Math.floor(random() * body.length));
  if (random() < oddness / 8) body = Buffer.concat([body, noise(random, 20)]);
  let head = `${maybe('POST', METHODS)} ${maybe('/v3/events', PATHS)} ${maybe('HTTP/1.1', VERSIONS)}\r\nHost: 127.0.0.1:${port}\r\n`;
  head += `${maybe('Content-Type: application/x-ndjson', BATCH_HEADERS)}\r\n${maybe(`Content-Length: ${body.length}`, BATCH_HEADERS)}\r\n`;
  if (isGzip) head += `${maybe('Content-Encoding: gzip', BATCH_HEADERS)}\r\n`;
  if (random() < oddness) head += `${pick(BATCH_HEADERS)}\r\n`;
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), body]);
}

function noise(random: () => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

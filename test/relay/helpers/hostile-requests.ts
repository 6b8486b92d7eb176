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
  '/healthz',
  '/readyz',
  '/metrics',
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

/** A request with some hostile bytes. Most of it is valid: a request that is all wrong is refused at the first byte. */
export function hostileRequest(random: () => number, port: number): Buffer {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const oddness = random() * 0.4;
  const maybe = (usual: string, from: readonly string[]): string => (random() < oddness ? pick(from) : usual);
  if (random() < 0.05) return noise(random, 1 + Math.floor(random() * 2000));
  let text = '';
  for (let requests = random() < 0.15 ? 4 : 1; requests > 0; requests -= 1) {
    const long = random() < 0.03 ? `?x=${'y'.repeat(Math.floor(random() * 30_000))}` : maybe('?status=success&task_count=3', QUERIES);
    text += `${maybe('GET', METHODS)} ${maybe('/v3/dag_run', PATHS)}${long} ${maybe('HTTP/1.1', VERSIONS)}${maybe('\r\n', ENDS)}`;
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

function noise(random: () => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

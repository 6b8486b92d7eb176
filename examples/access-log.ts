// A web server's access log is enough as a backend: nginx answers 204 (access-log.nginx.conf), and this program counts the logged requests.
// Usage, after `npm run build && npm run compile`: node build/examples/access-log.js [FILE]; the default is the sample beside this file.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const sample = fileURLToPath(new URL('../../examples/access-log.sample.log', import.meta.url));
const counts = new Map<string, number>();
for await (const line of createInterface({ input: createReadStream(process.argv[2] ?? sample) })) {
  const [, type, query] = / \/v3\/([a-z][a-z0-9_]*)\?(\S*)$/.exec(line) ?? [];
  if (type === undefined) continue;
  // URLSearchParams reads what Python's urlencode writes, although it writes differently.
  const fields = new URLSearchParams(query);
  const key = [type, fields.get('acme_version') ?? '-', fields.get('status') ?? '-'].join('\t');
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
for (const key of [...counts.keys()].sort()) console.log(`${key}\t${counts.get(key)}`);

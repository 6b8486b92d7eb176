#!/usr/bin/env bash
# Node 20.19.0, 24.21.0 and 26.10.0: `process.getActiveResourcesInfo()` is documented as the resources that keep the event loop alive. Seen:
#
# - A query of `dns.Resolver` (c-ares) that waits for its name server keeps the process alive and is not in the list, which is empty.
# - A worker thread without listeners and work of the thread pool (`scrypt`) keep it alive and are not in the list either.
# - Standard output that is a pipe is in the list as `PipeWrap` although it keeps nothing alive, and so is a standard input that was read
#   and is paused.
#
# So an empty list does not mean that the process may end, and a list that is not empty does not mean that it cannot.
# Usage: bash findings/active-resources.sh        Exits with 1 if a version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/query.mjs" <<'JS'
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns';
import { writeFileSync } from 'node:fs';

// A name server that never answers, and that does not keep the process alive.
const server = createSocket('udp4').unref();
await new Promise((resolve) => server.bind(0, '127.0.0.1', resolve));
console.log('standard output is in use');
const resolver = new Resolver();
resolver.setServers([`127.0.0.1:${server.address().port}`]);
const startedAt = performance.now();
resolver.resolve4('example.org', () => {});
let listed;
// Neither timer keeps the process alive: if they run, something else does.
setTimeout(() => {
  listed = process.getActiveResourcesInfo();
}, 300).unref();
setTimeout(() => resolver.cancel(), 600).unref();
process.on('exit', () => {
  const heldMs = performance.now() - startedAt;
  writeFileSync(process.argv[2], `held: ${heldMs > 500}, listed: ${JSON.stringify(listed)}`);
});
JS

# What it starts keeps the process alive for some time, but for a paused standard input. Neither timer does.
cat >"$work/hidden.mjs" <<'JS'
import { scrypt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const [what, report] = process.argv.slice(2);
let listed = 'not asked';
const startedAt = performance.now();
const ask = () => {
  listed = JSON.stringify(process.getActiveResourcesInfo());
};
setTimeout(ask, 150).unref();
if (what === 'worker') new Worker('setTimeout(() => {}, 600)', { eval: true });
if (what === 'scrypt') scrypt('word', 'salt', 64, { N: 2 ** 18, maxmem: 2 ** 30 }, () => {});
if (what === 'input') {
  process.stdin.once('data', () => {
    // Not at once: the stream would go on reading for its own buffer.
    setImmediate(() => {
      process.stdin.pause();
      setImmediate(() => setImmediate(ask));
    });
  });
}
process.on('exit', () => writeFileSync(report, `${performance.now() - startedAt > 150 ? 'held' : 'ended'}, listed: ${listed}`));
JS

failed=0
for version in 20.19.0 24.21.0 26.10.0; do
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$work/$version" "node@$version" >/dev/null 2>&1
  node="$work/$version/node_modules/node/bin/node"
  "$node" "$work/query.mjs" "$work/to-file" >"$work/out" 2>/dev/null
  "$node" "$work/query.mjs" "$work/to-pipe" 2>/dev/null | cat >/dev/null
  to_file=$(cat "$work/to-file")
  to_pipe=$(cat "$work/to-pipe")
  echo "Node $version, standard output a file: $to_file"
  echo "Node $version, standard output a pipe: $to_pipe"
  for what in worker scrypt input; do
    { echo line; sleep 3; } | "$node" "$work/hidden.mjs" "$what" "$work/hidden" >/dev/null
    seen=$(cat "$work/hidden")
    echo "Node $version, $what: $seen"
    case $what in input) wanted='ended, listed: ["PipeWrap"]' ;; *) wanted='held, listed: []' ;; esac
    [ "$seen" = "$wanted" ] || failed=1
  done
  [ "$to_file" = 'held: true, listed: []' ] || failed=1
  [ "$to_pipe" = 'held: true, listed: ["PipeWrap"]' ] || failed=1
done
exit "$failed"

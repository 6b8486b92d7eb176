#!/usr/bin/env bash
# OpenTelemetry's OTLP exporter for logs by gRPC, 0.223.1 on Node 20.19.0 and 0.301.0 on Node 24.21.0, with @grpc/grpc-js 1.14.7:
#
# - A call that was never begun, because the port is closed or the name has no address, ends with code 14 (UNAVAILABLE). So does one that was
#   reset after the receiver had read all of it, and one that the receiver answered with 14. Only the words tell whether a repeat is safe.
# - None of these is repeated. The exporters for HTTP of the same versions repeat after a reset and after 503: findings/otel-exporters.sh.
#
# Output of both versions: "answered: code 14, 1 calls, later", "reset: code 14, 1 calls, read ECONNRESET",
# "closed port: code 14, 0 calls, No connection established", "no address: code 14, 0 calls, Name resolution failed for target dns".
# Usage: bash findings/otel-grpc.sh        Exits with 1 if a version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/seen.mjs" <<'JS'
import { once } from 'node:events';
import { createServer } from 'node:http2';
import { createRequire } from 'node:module';

const require = createRequire(`${process.argv[2]}/package.json`);
const { OTLPLogExporter } = require('@opentelemetry/exporter-logs-otlp-grpc');
let calls = 0;
let how = '';
const server = createServer();
server.on('stream', (stream) => {
  stream.on('error', () => {}).resume();
  stream.on('end', () => {
    calls += 1;
    if (how === 'reset') stream.session.socket.resetAndDestroy();
    else stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14', 'grpc-message': 'later' }, { endStream: true });
  });
});
server.on('session', (session) => session.on('error', () => {}));
await once(server.listen(0, '127.0.0.1'), 'listening');
const closed = createServer();
await once(closed.listen(0, '127.0.0.1'), 'listening');
const urls = {
  answered: `http://127.0.0.1:${server.address().port}`,
  reset: `http://127.0.0.1:${server.address().port}`,
  'closed port': `http://127.0.0.1:${closed.address().port}`,
  'no address': 'http://receiver.invalid:4317',
};
closed.close();
const record = {
  hrTime: [1, 0],
  hrTimeObserved: [1, 0],
  resource: { attributes: {} },
  instrumentationScope: { name: 'probe' },
  attributes: {},
  droppedAttributesCount: 0,
};
for (const [name, url] of Object.entries(urls)) {
  how = name;
  calls = 0;
  const exporter = new OTLPLogExporter({ url, timeoutMillis: 3000 });
  const { error } = await new Promise((resolve) => exporter.export([record], resolve));
  console.log(`${name}: code ${error.code}, ${calls} calls, ${/^[A-Za-z ]+/.exec(error.details)[0].trim()}`);
}
process.exit();
JS

failed=0
for versions in '20.19.0 0.223.1 1.9.0' '24.21.0 0.301.0 1.10.0'; do
  read -r node exporter api <<<"$versions"
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$work/$node" "node@$node" >/dev/null 2>&1
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --prefix "$work/otel-$exporter" \
    "@opentelemetry/api@$api" "@opentelemetry/exporter-logs-otlp-grpc@$exporter" "@grpc/grpc-js@1.14.7" >/dev/null 2>&1
  said=$("$work/$node/node_modules/node/bin/node" --no-warnings "$work/seen.mjs" "$work/otel-$exporter")
  echo "Node $node, exporter $exporter:"
  echo "$said"
  for expected in 'answered: code 14, 1 calls, later' 'reset: code 14, 1 calls, read ECONNRESET' \
    'closed port: code 14, 0 calls, No connection established' 'no address: code 14, 0 calls, Name resolution failed for target dns'; do
    grep -qxF "$expected" <<<"$said" || failed=1
  done
done
exit "$failed"

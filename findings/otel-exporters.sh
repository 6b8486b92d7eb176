#!/usr/bin/env bash
# OpenTelemetry's OTLP exporters for logs, 0.223.1 on Node 20.19.0 and 0.301.0 on Node 24.21.0, JSON and protobuf:
#
# - The type of a number depends on its value. A duration of 7.5 is sent as a double and one of 7 as an integer, under the same name, so a
#   database with typed columns gets two. `typeof` and `Number.isInteger` decide: no value of JavaScript is sent as the double 7.0. The next
#   double, 7.000000000000001, is sent as a double.
# - A receiver that rejects every record with a success (`partialSuccess`, as OTLP demands) is a success for the callback of `export()`.
# - An exchange that was reset after the receiver had read all of it is repeated by the exporter, which has no option against that. The
#   receiver has the record more than once, and the callback says failure.
# Usage: bash findings/otel-exporters.sh        Exits with 1 if a version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/seen.mjs" <<'JS'
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(`${process.argv[2]}/package.json`);
const bodies = [];
let fault;
const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  bodies.push(Buffer.concat(chunks));
  const isJson = request.headers['content-type'] === 'application/json';
  if (fault === 'reset') return request.socket.resetAndDestroy();
  response.setHeader('content-type', request.headers['content-type']);
  // Protobuf: field 1 is a message whose field 1, the number of rejected records, is 1.
  const rejected = isJson ? '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}' : Buffer.from([0x0a, 0x02, 0x08, 0x01]);
  response.end(fault === 'partial' ? rejected : isJson ? '{}' : '');
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const url = `http://127.0.0.1:${server.address().port}/v1/logs`;

const recordOf = (seconds) => ({
  hrTime: [1, 0],
  hrTimeObserved: [1, 0],
  resource: { attributes: {} },
  instrumentationScope: { name: 'probe' },
  attributes: { seconds },
  droppedAttributesCount: 0,
});

/** The type of the attribute: by its name in JSON, and by the tag of its field in protobuf (3 varint, 4 fixed64) behind the name. */
function typeOf(body) {
  const [, json] = /"key":"seconds","value":\{"(\w+)Value"/.exec(body.toString()) ?? [];
  if (json !== undefined) return json;
  const tag = body[body.indexOf('seconds') + 'seconds'.length + 2];
  return { 0x18: 'int', 0x21: 'double' }[tag] ?? `tag ${tag}`;
}

for (const format of ['http', 'proto']) {
  const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${format}`);
  const exporter = new OTLPLogExporter({ url, timeoutMillis: 2500 });
  const exported = async (seconds, how) => {
    fault = how;
    bodies.length = 0;
    return new Promise((resolve) => exporter.export([recordOf(seconds)], ({ code }) => resolve(code)));
  };
  const types = [];
  for (const seconds of [7.5, 7, 7.000000000000001]) {
    await exported(seconds);
    types.push(`${seconds} ${typeOf(bodies[0])}`);
  }
  const partial = await exported(7, 'partial');
  const reset = await exported(7, 'reset');
  console.log(`${format}: ${types.join(', ')}; all rejected: code ${partial}; reset: code ${reset}, ${bodies.length > 1 ? 'sent again' : 'once'}`);
}
server.closeAllConnections();
server.close();
JS

failed=0
for versions in '20.19.0 0.223.1 1.9.0' '24.21.0 0.301.0 1.10.0'; do
  read -r node exporter api <<<"$versions"
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$work/$node" "node@$node" >/dev/null 2>&1
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts --prefix "$work/otel-$exporter" \
    "@opentelemetry/api@$api" "@opentelemetry/exporter-logs-otlp-http@$exporter" "@opentelemetry/exporter-logs-otlp-proto@$exporter" >/dev/null 2>&1
  said=$("$work/$node/node_modules/node/bin/node" --no-warnings "$work/seen.mjs" "$work/otel-$exporter")
  echo "Node $node, exporters $exporter:"
  echo "$said"
  for format in http proto; do
    expected="$format: 7.5 double, 7 int, 7.000000000000001 double; all rejected: code 0; reset: code 1, sent again"
    grep -qxF "$expected" <<<"$said" || failed=1
  done
done
exit "$failed"

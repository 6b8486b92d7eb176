#!/usr/bin/env bash
# Node 20.19.0, 22.23.3, 24.21.0 and 26.10.0: a timer whose delay is below 0, or NaN. All of them run it after 1 ms. Seen:
#
# - Node 20 and 22 say nothing. Node 24 and 26 write `TimeoutNegativeWarning` and `TimeoutNaNWarning` to standard error, each once a process,
#   whoever sets the timer.
# - The same holds for `setInterval` and for `setTimeout` of `node:timers/promises`.
#
# A library that reckons a delay as the difference of two times gets a negative one where the process was held up in between. So it writes
# into the output of its host from Node 24 on, and only on a busy machine.
# Usage: bash findings/negative-delay.sh        Exits with 1 if a version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/timers.mjs" <<'JS'
import { setTimeout as sleep } from 'node:timers/promises';

const seen = [];
process.on('warning', ({ name }) => seen.push(name));
const ways = {
  timeout: (delay) => new Promise((resolve) => setTimeout(resolve, delay)),
  interval: (delay) => new Promise((resolve) => {
    const timer = setInterval(() => resolve(clearInterval(timer)), delay);
  }),
  promises: (delay) => sleep(delay),
};
const run = ways[process.argv[2]];
await run(-24.2);
await run(-1);
await run(Number.NaN);
setImmediate(() => console.log(seen.join() || 'nothing'));
JS

failed=0
for version in 20.19.0 22.23.3 24.21.0 26.10.0; do
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$work/$version" "node@$version" >/dev/null 2>&1
  case $version in 20.* | 22.*) wanted=nothing ;; *) wanted='TimeoutNegativeWarning,TimeoutNaNWarning' ;; esac
  for way in timeout interval promises; do
    seen=$("$work/$version/node_modules/node/bin/node" "$work/timers.mjs" "$way" 2>/dev/null)
    echo "Node $version, $way: $seen"
    [ "$seen" = "$wanted" ] || failed=1
  done
done
exit "$failed"

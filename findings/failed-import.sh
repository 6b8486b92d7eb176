#!/usr/bin/env bash
# Node 20.19.0, with p-queue 9.3.5: an `import()` that fails because no file descriptor is free fails for as long as the process lives, and so
# does `require()` of the same package, although descriptors are free again: Node 20 remembers that it could not read package.json.
# Node 24.21.0 and 26.10.0: both work as soon as descriptors are free.
# Usage: bash findings/failed-import.sh        Exits with 1 if a version behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund p-queue@9.3.5 >/dev/null 2>&1

cat >late.mjs <<'JS'
import { closeSync, openSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const taken = [];
try {
  for (;;) taken.push(openSync('/dev/null'));
} catch {
  // No descriptor is free.
}
const attempt = async (load) => {
  try {
    await load();
    return 'works';
  } catch (error) {
    return error.code ?? error.name;
  }
};
const without = await attempt(() => import('p-queue'));
for (const descriptor of taken) closeSync(descriptor);
const imported = await attempt(() => import('p-queue'));
const required = await attempt(() => require('p-queue'));
writeSync(1, `without descriptors: ${without === 'works' ? 'works' : 'fails'}; with: import ${imported}, require ${required}\n`);
JS

failed=0
for version in 20.19.0 24.21.0 26.10.0; do
  npm install --silent --no-save --no-package-lock --no-audit --no-fund --prefix "$work/$version" "node@$version" >/dev/null 2>&1
  said=$(ulimit -n 64 && "$work/$version/node_modules/node/bin/node" --no-warnings late.mjs)
  echo "Node $version: $said"
  case $version in
    20.*) [ "$said" = 'without descriptors: fails; with: import ERR_MODULE_NOT_FOUND, require MODULE_NOT_FOUND' ] || failed=1 ;;
    *) [ "$said" = 'without descriptors: fails; with: import works, require works' ] || failed=1 ;;
  esac
done
exit "$failed"

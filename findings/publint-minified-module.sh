#!/usr/bin/env bash
# publint 0.3.25: it takes a valid ES module for CommonJS if its `export` follows a closing brace at once and it mentions `module.exports`
# somewhere, as a bundle without white space does that contains a CommonJS package. With a line break it takes the same module for what it
# is. Node imports both.
# Usage: bash findings/publint-minified-module.sh        Exits with 1 if that changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund publint@0.3.25 >/dev/null 2>&1
mkdir package
printf '{ "name": "package", "version": "1.0.0", "type": "module", "exports": "./index.js", "files": ["index.js"] }\n' >package/package.json

# verdict TEXT: what publint says of a module with this text, after Node has imported it.
verdict() {
  printf '%s\n' "$1" >package/index.js
  node --input-type=module -e 'import { f } from "./package/index.js"; if (typeof f !== "function") process.exit(1);'
  local said
  said=$(npx --no-install publint run package --strict 2>&1) || true
  if [[ $said == *'is written in CJS'* ]]; then echo CommonJS; else echo 'an ES module'; fi
}

dense=$(verdict 'function f(){return module.exports}export{f};')
spaced=$(verdict 'function f(){return module.exports}
export{f};')
echo "publint 0.3.25: without a line break $dense, with one $spaced"
[ "$dense" = CommonJS ] && [ "$spaced" = 'an ES module' ]

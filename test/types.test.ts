import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { proves } from './helpers/promises.js';

const CHECK = fileURLToPath(new URL('../../scripts/check-types.mjs', import.meta.url));

test(proves('types-alone', "a user's programs compile against the built package, with and without @types/node and dom"), async (t) => {
  const { stdout } = await promisify(execFile)(process.execPath, [CHECK]).catch((error: Error & { stderr: string }) => {
    throw new Error(error.stderr);
  });
  t.regex(stdout, /the declarations compile \(alone, commonjs, bundler, dom, node, node and dom\)/);
});

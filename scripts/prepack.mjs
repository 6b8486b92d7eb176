// Builds the package before npm packs it. Without the development tools it says what to do.
import { execSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
if (existsSync(`${root}node_modules/typescript`)) execSync('npm run --silent build', { cwd: root, stdio: ['ignore', 2, 2] });
else {
  console.error('The package is built before it is packed. Its development tools are missing: run `npm ci` first.');
  process.exitCode = 1;
}

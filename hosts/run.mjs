// Adapters in real hosts: `npm run test:hosts`, which says what it leaves out. Each `*.host.mjs` of this folder is a process of its own.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.host.mjs'));
const failed = files.filter((name) => {
  console.log(`\n── ${name}`);
  return spawnSync(process.execPath, [join(import.meta.dirname, name)], { stdio: 'inherit', timeout: 480_000 }).status !== 0;
});
console.log(
  `\n${files.length - failed.length} of ${files.length} hosts are fine${failed.length === 0 ? '' : `; these are not: ${failed.join(', ')}`}`,
);
process.exitCode = failed.length === 0 && files.length > 0 ? 0 : 1;

// The relay's page in a real Chromium: `npm run test:page`, which says what it leaves out. `-- --screenshots` makes the pictures of the docs.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { findChromium } from './chromium.mjs';

const chromium = findChromium();
const isForPictures = process.argv.includes('--screenshots');
if (chromium === undefined) {
  console.log('(skipped: Chromium is not installed; Debian has it: apt-get install chromium)');
} else {
  const file = join(import.meta.dirname, isForPictures ? 'screenshots.mjs' : 'page.suite.mjs');
  const { status } = spawnSync(process.execPath, [file], {
    stdio: 'inherit',
    timeout: 240_000,
    env: { ...process.env, CHROMIUM: chromium },
  });
  process.exitCode = status === 0 ? 0 : 1;
}

// Finds Chromium, and opens pages in it that note what they may not do.
import { spawnSync } from 'node:child_process';
import { chromium } from 'playwright-core';

/** A name under which Chromium reaches this machine, as after a change of a stranger's name server. */
export const FOREIGN_NAME = 'rebound.example';

/** The command of a Chromium that starts; undefined if there is none. */
export function findChromium() {
  const names = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'].filter((name) => name !== undefined);
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Where it is: playwright takes no name of a command. */
function pathOf(command) {
  const { stdout } = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', command], { encoding: 'utf8' });
  return stdout.trim();
}

export function launch() {
  return chromium.launch({
    executablePath: pathOf(findChromium()),
    args: ['--no-sandbox', `--host-resolver-rules=MAP ${FOREIGN_NAME} 127.0.0.1`],
  });
}

/**
 * Opens a page in a context of its own.
 *
 * @returns The page, and what it did: the origins that it asked, the violations of its policy, its errors, and how often it was loaded.
 */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const seen = { origins: new Set(), violations: [], errors: [], loads: 0 };
  context.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (protocol !== 'data:') seen.origins.add(origin);
  });
  page.on('console', (message) => {
    if (message.text().startsWith('policy: ') || /Content[- ]Security[- ]Policy/i.test(message.text()))
      seen.violations.push(message.text());
  });
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('framenavigated', (frame) => {
    if (frame === page.mainFrame()) seen.loads += 1;
  });
  if (options.javaScriptEnabled !== false)
    await page.addInitScript(() => {
      globalThis.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
        console.log(`policy: ${violatedDirective} ${blockedURI}`),
      );
    });
  return { page, seen, close: () => context.close() };
}

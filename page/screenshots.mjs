// Makes the pictures of docs/relay.md from a real relay: of its page, and of `relay status`. Its clock runs 60 times as fast, so that an hour of events takes a minute; the
// endpoint is away for nine of these minutes.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../build/src/base/clock.js';
import { thisMachine } from '../build/src/base/machine.js';
import { createRelayWith } from '../build/src/relay/relay.js';
import { defaultParts } from '../build/src/relay/wiring.js';
import { launch, openPage } from './chromium.mjs';
import { Endpoint, hangUp, send } from './endpoint.mjs';

const FAST = 60;
const FOLDER = join(import.meta.dirname, '..', 'docs', 'images');
const COMMAND = join(import.meta.dirname, '..', 'dist', 'cli', 'bin.js');
/** Minutes of the relay. */
const OUTAGE_FROM = 44;
const OUTAGE_TO = 53;

const startMs = systemClock.now();
const startWallMs = Date.now() - 62 * 60_000;
const now = () => (systemClock.now() - startMs) * FAST;
const clock = {
  ...systemClock,
  now,
  wallNow: () => Math.round(startWallMs + now()),
  setTimeout: (callback, delayMs) => systemClock.setTimeout(callback, delayMs / FAST),
};

mkdirSync(FOLDER, { recursive: true });
const spool = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-page-'));
const endpoint = new Endpoint();
await endpoint.start();
const options = { listen: '127.0.0.1:0', forward: endpoint.url, spool, maxSpoolBytes: 262_144, showEvents: true, env: {} };
// What takes real time keeps its limits.
const limits = { connectTimeoutMs: 300_000, attemptTimeoutMs: 600_000, requestTimeoutMs: 600_000, headersTimeoutMs: 300_000 };
const relay = createRelayWith({ ...options, ...limits }, { ...defaultParts, machine: { ...thisMachine, clock } });
const { url } = await relay.listen();
const browser = await launch();

async function picture(name, contextOptions, height) {
  const { page, close } = await openPage(browser, { deviceScaleFactor: 1, javaScriptEnabled: false, ...contextOptions });
  await page.goto(url);
  await page.screenshot({
    path: join(FOLDER, `relay-page-${name}.png`),
    clip: { x: 0, y: 0, width: contextOptions.viewport.width, height },
  });
  await close();
}

/** What the command prints, as a terminal shows it. It ends with 1, since nothing is delivered. */
async function pictureOfStatus() {
  const printed = await new Promise((resolve) => {
    execFile(process.execPath, [COMMAND, 'relay', 'status', url], (_error, stdout) => resolve(stdout));
  });
  const { page, close } = await openPage(browser, { deviceScaleFactor: 1, viewport: { width: 960, height: 600 } });
  await page.setContent(
    '<body style="margin: 0"><pre style="margin: 0; padding: 16px; color: #e6e6e6; background: #1c1f24; font-size: 14px">',
  );
  await page.locator('pre').evaluate((pre, text) => (pre.textContent = text), `$ cosmos-telemetry relay status\n${printed}`);
  await page.locator('pre').screenshot({ path: join(FOLDER, 'relay-status.png') });
  await close();
}

const EVENTS = [
  '/v3/dag_run?status=success&task_count=12&cosmos_version=1.12.0',
  '/v3/task_instance?status=success&operator_name=DbtRunLocalOperator&execution_mode=local&invocation_mode=dbt_runner&duration=7.25',
  '/v3/task_instance?status=failed&operator_name=DbtTestLocalOperator&execution_mode=local&invocation_mode=dbt_runner&duration=1.5&new_field=1',
];
try {
  let event = 0;
  let wasAway = false;
  for (let minute = 0; minute < 61; minute += 1) {
    const isAway = minute >= OUTAGE_FROM && minute < OUTAGE_TO;
    if (isAway && !wasAway) await endpoint.stop();
    if (wasAway && !isAway) {
      await picture('outage', { viewport: { width: 960, height: 960 }, colorScheme: 'light' }, 960);
      await pictureOfStatus();
      await endpoint.start();
    }
    wasAway = isAway;
    // As schedules have it: more at each quarter of an hour.
    const events = 4 + (minute % 5) + (minute % 15 === 0 ? 22 : 0);
    for (let sent = 0; sent < events; sent += 1) await send(url, EVENTS[(event += 1) % EVENTS.length]);
    await sleep(Math.max(0, ((minute + 1) * 60_000 - now()) / FAST));
  }
  await picture('phone', { viewport: { width: 360, height: 1480 }, isMobile: true, colorScheme: 'dark' }, 1480);
} finally {
  await browser.close();
  await relay.close({ deadlineMs: 0 });
  await endpoint.stop();
  hangUp();
  rmSync(spool, { recursive: true, force: true });
}

// A report in a real Chromium. With `--screenshots` it makes the pictures of the docs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { writeFleet } from '../make-fleet.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const IMAGES = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const isForPictures = process.argv.includes('--screenshots');
const folder = mkdtempSync(join(tmpdir(), 'cosmos-telemetry-insights-page-'));
const failures = [];
let passed = 0;

async function test(title, run) {
  try {
    await run();
    passed += 1;
  } catch (error) {
    failures.push(`${title}: ${error.message}`);
  }
}

const out = join(folder, 'report.html');
writeFleet(join(folder, 'fleet.ndjson'), { events: 20_000, seed: 1, format: 'ndjson' });
const program = join(import.meta.dirname, '..', 'insights.mjs');
const { status, stderr } = spawnSync(process.execPath, [program, join(folder, 'fleet.ndjson'), '--out', out], { encoding: 'utf8' });
if (status !== 0) throw new Error(stderr);

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });

/** Opens the report. @returns The page, what it asked for beside itself, and what it complained of. */
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const requests = [];
  const complaints = [];
  const url = pathToFileURL(out).href;
  context.on('request', (request) => request.url() === url || requests.push(request.url()));
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(url);
  return { page, requests, complaints, close: () => context.close() };
}

const DESKTOP = { viewport: { width: 1000, height: 900 } };
const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, deviceScaleFactor: 2 };
const openAll = (page) => page.evaluate(() => document.querySelectorAll('details').forEach((each) => (each.open = true)));
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

try {
  console.log(`Chromium ${browser.version()}`);
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, size] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      await test(`${name}, ${colorScheme}: asks for nothing, complains of nothing, and needs no scrolling to the side`, async () => {
        const { page, requests, complaints, close } = await open({ ...size, colorScheme });
        await openAll(page);
        assert.equal(await overflow(page), 0);
        assert.equal(await background(page), colorScheme === 'light' ? 'rgb(255, 255, 255)' : 'rgb(15, 19, 24)');
        assert.deepEqual(requests, []);
        assert.deepEqual(complaints, []);
        // The style is applied, and the bars are drawn: their number and their colour.
        const drawn = await page.locator('section[aria-labelledby="h-versions"] figure > svg > rect').evaluateAll((bars) => ({
          visible: bars.filter((bar) => bar.getBoundingClientRect().height > 0 && bar.getBoundingClientRect().width > 0).length,
          colours: new Set(bars.map((bar) => getComputedStyle(bar).fill)).size,
        }));
        assert.ok(drawn.visible > 150, String(drawn.visible));
        assert.equal(drawn.colours, 7);
        await close();
      });
    }
    await test(`${colorScheme}: axe finds no fault`, async () => {
      // Only this page may run what is not its own.
      const { page, close } = await open({ ...DESKTOP, colorScheme, bypassCSP: true });
      await openAll(page);
      await page.evaluate(AXE);
      const found = await page.evaluate(async () =>
        (await globalThis.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html)}`),
      );
      assert.deepEqual(found, []);
      await close();
    });
  }
  await test('without scripts it is the same', async () => {
    const { page, complaints, close } = await open({ ...DESKTOP, javaScriptEnabled: false });
    assert.equal(await page.locator('#events').textContent(), '20,000');
    await page.locator('summary').first().click();
    assert.ok(await page.locator('#t-installations').isVisible());
    assert.deepEqual(complaints, []);
    await close();
  });
  await test('the policy refuses a script and a request', async () => {
    const { page, complaints, close } = await open(DESKTOP);
    const ran = await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'globalThis.ran = true';
      document.body.append(script);
      const image = document.createElement('img');
      image.src = 'http://127.0.0.1:9/pixel.png';
      document.body.append(image);
      return globalThis.ran === true;
    });
    assert.equal(ran, false);
    await page.waitForFunction(() => document.images[0].complete);
    assert.ok(complaints.length >= 2 && complaints.every((text) => /Content Security Policy/.test(text)), complaints.join('\n'));
    await close();
  });
  if (isForPictures) {
    for (const colorScheme of ['light', 'dark']) {
      const { page, close } = await open({ viewport: { width: 900, height: 1400 }, colorScheme });
      await page.screenshot({ path: join(IMAGES, `insights-${colorScheme}.png`) });
      await close();
    }
    const { page, close } = await open(PHONE);
    await page.locator('#h-failures').scrollIntoViewIfNeeded();
    await page.evaluate(() => document.getElementById('h-failures').scrollIntoView());
    await page.screenshot({ path: join(IMAGES, 'insights-phone.png') });
    await close();
    console.log(`pictures in ${IMAGES}`);
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
for (const failure of failures) console.log(`FAILED   ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;

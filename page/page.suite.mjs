// What the relay's page does in a real Chromium: a real relay, an endpoint that can be away, and the page of `dist/`.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { createRequire } from 'node:module';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { createRelay } from '../dist/relay/index.js';
import { FOREIGN_NAME, launch, openPage } from './chromium.mjs';
import { Endpoint, hangUp, send, sendAtRate } from './endpoint.mjs';

const WAIT_MS = 15_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** A field that a verbatim relay keeps: markup, and no place to break a line. */
const HOSTILE = `/v3/dag_run?note=${encodeURIComponent(`<img src=x onerror=alert(1)>"'&${'x'.repeat(400)}`)}`;

let browser;
let endpoint;
let relay;
let url;
let metricsUrl;
let opened;

before(async () => {
  browser = await launch();
  console.log(`Chromium ${browser.version()}`);
});
after(() => {
  hangUp();
  return browser.close();
});
beforeEach(async () => {
  endpoint = new Endpoint();
  await endpoint.start();
  opened = [];
  await start();
});
afterEach(async () => {
  for (const { page, close } of opened) {
    await page.close();
    await close();
  }
  await relay.close({ deadlineMs: 0 });
  await endpoint.stop();
  for (const { seen, origin } of opened) {
    assert.deepEqual(seen.violations, [], 'the page does nothing that its policy forbids');
    assert.deepEqual(seen.errors, [], 'its script throws nothing');
    assert.deepEqual([...seen.origins], [origin], 'it asks nobody else');
  }
});

async function start(options = {}) {
  await relay?.close({ deadlineMs: 0 });
  relay = createRelay({ listen: '127.0.0.1:0', forward: endpoint.url, env: {}, backoffMs: 200, maxBackoffMs: 400, ...options });
  ({ url, metricsUrl } = await relay.listen());
}

async function open(options, path = '/') {
  const each = { ...(await openPage(browser, options)), origin: url };
  opened.push(each);
  await each.page.goto(`${url}${path}`);
  return each;
}

/** Waits until the text of an element matches. */
async function says(page, selector, pattern) {
  const text = page.locator(selector);
  const untilMs = Date.now() + WAIT_MS;
  for (;;) {
    const found = await text.innerText();
    if (pattern.test(found)) return found;
    if (Date.now() > untilMs) assert.fail(`${selector} says ${JSON.stringify(found)}, not ${pattern}`);
    await page.waitForTimeout(50);
  }
}

const accepted = (number) => new RegExp(`Accepted\\s+${number}\\b`);

async function violationsOfAxe(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () =>
    (await globalThis.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`),
  );
}

void test('numbers follow without a reload', async () => {
  const { page, seen } = await open();
  await says(page, '#link', /^Live\.$/);
  for (let event = 0; event < 3; event += 1) await send(url);
  await says(page, '#totals', accepted(3));
  await says(page, '#totals', /Sent\s+3\b/);
  await says(page, '#state', /Delivering/);
  assert.equal(seen.loads, 1);
  assert.equal(await page.title(), 'Delivering - relay');
});

void test('an outage and its end change the sentence without a reload', async () => {
  const { page, seen } = await open();
  await send(url);
  await says(page, '#totals', /Sent\s+1\b/);
  await endpoint.stop();
  await send(url);
  await says(page, '#state', /Waiting/);
  await says(page, '#sentence', /^Waiting since \d\d:\d\d UTC: the endpoint refuses connections \(refused\)\. 1 event waits/);
  await says(page, '#facts', /Last failure\s+\d\d:\d\d:\d\d UTC, \d+ s ago: the endpoint refuses connections/);
  assert.equal(await page.title(), 'Waiting - relay');
  await endpoint.start();
  await says(page, '#state', /Delivering/);
  await says(page, '#totals', /Sent\s+2\b/);
  assert.equal(seen.loads, 1);
});

void test('refusals, drops and answers are told by reason', async () => {
  await endpoint.stop();
  await start({ maxAgeMs: 1000, showEvents: true });
  const { page } = await open();
  await send(url, '/v3/dag_run?status=success&new_field=1');
  await send(url, '/v3/nothing');
  await says(page, '#reasons', /Dropped\s+older than the longest time that an event may wait \(expired\)\s+1/);
  await says(page, '#answers', /404\s+unknown path or event\s+1/);
  const events = await says(page, '#events', /dag_run .* dropped: older/);
  assert.ok(!events.includes('nothing'));
  await page.locator('#events summary').click();
  await says(page, '#events', /status\s+success\s*How it ended\.[^]*new_field\s+Not forwarded: it is not declared\./);
});

void test('a thousand events a second are counted, and the page keeps up', async () => {
  const SECONDS = 5;
  await start({ listen: '127.0.0.1:0' });
  const { page } = await open();
  await says(page, '#link', /^Live\.$/);
  await page.evaluate(() => {
    globalThis.changes = 0;
    new MutationObserver(() => (globalThis.changes += 1)).observe(document.querySelector('#totals'), { childList: true });
  });
  assert.equal(await sendAtRate(url, 1000, SECONDS), 1000 * SECONDS);
  await says(page, '#totals', accepted('5,000'));
  const changes = await page.evaluate(() => globalThis.changes);
  assert.ok(changes >= SECONDS - 1 && changes <= 3 * SECONDS + 10, `${changes} updates: one a second, however many events`);
});

void test('nothing is wider than a phone, even texts of strangers, which are shown as text', async () => {
  await start({ verbatim: true, showEvents: true });
  await send(url, HOSTILE);
  const { page } = await open({ viewport: { width: 360, height: 740 }, isMobile: true });
  for (const summary of await page.locator('summary').all()) await summary.click();
  await says(page, '#events', /<img src=x onerror=alert\(1\)>"'&x/);
  assert.equal(await page.locator('img').count(), 0);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  assert.deepEqual(await violationsOfAxe(page), []);
});

void test('light and dark, with the contrasts, names and landmarks that a screen reader and weak eyes need', async () => {
  await start({ showEvents: true });
  for (let event = 0; event < 3; event += 1) await send(url);
  const grounds = [];
  for (const colorScheme of ['light', 'dark']) {
    const { page } = await open({ colorScheme });
    for (const summary of await page.locator('summary').all()) await summary.click();
    assert.deepEqual(await violationsOfAxe(page), [], colorScheme);
    grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
  }
  assert.deepEqual(grounds, ['rgb(246, 247, 249)', 'rgb(16, 21, 29)']);
  const { page } = opened[0];
  const tree = await page.locator('body').ariaSnapshot();
  for (const each of [
    /- banner:\s+- heading "Relay of usage events" \[level=1\]/,
    /- main:/,
    /- region "Delivery"/,
    /- status: ● ?Delivering|- status: Delivering/,
  ])
    assert.match(tree, each);
  assert.match(tree, /- img "Events a minute, in the last hour In the last minute 3 events were accepted, 3 sent/);
  assert.match(tree, /- table:/);
});

void test('the keyboard reaches what can be opened, in its order, and keeps its place while numbers change', async () => {
  await start({ showEvents: true });
  await send(url);
  const { page } = await open();
  await says(page, '#link', /^Live\.$/);
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim().slice(0, 24));
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'The numbers of the chart');
  await page.keyboard.press('Tab');
  assert.match(await focused(), /^dag_run/);
  await page.keyboard.press('Enter');
  await says(page, '#events', /How it ended\./);
  await send(url, '/v3/dag_run?status=failed');
  await says(page, '#totals', /Sent\s+2\b/);
  await page.locator('#event-2').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'event-1-summary');
  assert.equal(await page.evaluate(() => document.getElementById('event-1').open), true);
  // What is said aloud changes with the state, and not with each number.
  assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll('[role=status], [aria-live]')].map(({ id }) => id)), [
    'state',
    'link',
  ]);
});

void test('without scripts it is a plain page that loads again', async () => {
  const { page, seen } = await open({ javaScriptEnabled: false });
  assert.match(await page.locator('#totals').innerText(), accepted(0));
  assert.match(await page.locator('footer').innerText(), /loaded again every 5 seconds/);
  await send(url);
  await says(page, '#totals', accepted(1));
  assert.ok(seen.loads >= 2);
});

void test('a foreign Host is refused, whatever a name server says', async () => {
  const each = await openPage(browser);
  const foreign = `http://${FOREIGN_NAME}:${new URL(url).port}/`;
  const answer = await each.page.goto(foreign);
  assert.equal(answer.status(), 403);
  assert.equal((await each.page.locator('body').innerText()).trim(), 'the Host header is not a name of this relay');
  await each.close();
});

void test('another page can neither read nor show it, and still cannot send an event', async () => {
  const other = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<!doctype html><title>other</title><a href="${url}/">relay</a><iframe src="${url}/"></iframe>`);
  });
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const each = await openPage(browser);
  await each.page.goto(`http://127.0.0.1:${other.address().port}/`);
  const found = await each.page.evaluate(async (relayUrl) => {
    const tell = async (path, options) =>
      fetch(relayUrl + path, options).then(
        (answer) => answer.type,
        () => 'failed',
      );
    const stream = await new Promise((resolve) => {
      const source = new EventSource(`${relayUrl}/status/events`);
      source.addEventListener('open', () => resolve('open'));
      source.addEventListener('error', () => resolve('failed'));
    });
    return {
      page: await tell('/'),
      blind: await tell('/', { mode: 'no-cors' }),
      event: await tell('/v3/dag_run?status=success', { mode: 'no-cors' }),
      batch: await tell('/v3/events', { method: 'POST', mode: 'no-cors', body: '{}' }),
      stream,
    };
  }, url);
  // Of `no-cors` requests a page learns nothing: the relay has refused them.
  assert.deepEqual({ page: found.page, stream: found.stream }, { page: 'failed', stream: 'failed' });
  assert.equal((await each.page.frames()[1]?.content())?.includes('Relay of usage events') ?? false, false);
  const [answer] = await Promise.all([each.page.waitForResponse(`${url}/`), each.page.click('a')]);
  assert.equal(answer.status(), 403);
  await each.close();
  other.close();
  other.closeAllConnections();
  const { accepted: events, answers } = relay.stats();
  assert.equal(events, 0);
  assert.deepEqual(Object.keys(answers), ['403']);
});

void test('the page itself cannot send an event either', async () => {
  const { page } = await open();
  const status = await page.evaluate(async () => (await fetch('/v3/dag_run?status=success')).status);
  assert.equal(status, 403);
  assert.equal(relay.stats().accepted, 0);
});

/** A raw follower of the stream. @returns The status of its answer, and how to end it. */
async function followRaw() {
  const request = get(`${url}/status/events`);
  const [response] = await once(request, 'response');
  response.on('error', () => undefined).resume();
  return { status: response.statusCode, end: () => request.destroy() };
}

void test('a tab that nobody sees does not follow, and does so again once it is seen', async () => {
  const { page } = await open();
  await says(page, '#link', /^Live\.$/);
  const setHidden = (isHidden) =>
    page.evaluate((value) => {
      Object.defineProperty(document, 'hidden', { value, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, isHidden);
  await setHidden(true);
  // The relay has room for 16.
  const streams = [];
  const untilMs = Date.now() + WAIT_MS;
  while (streams.length < 16 && Date.now() < untilMs) {
    const stream = await followRaw();
    if (stream.status === 200) streams.push(stream);
  }
  assert.equal(streams.length, 16);
  for (const stream of streams) stream.end();
  await send(url);
  await setHidden(false);
  await says(page, '#totals', accepted(1));
  await says(page, '#link', /^Live\.$/);
});

void test('a page for which there is no room asks from time to time, and follows later', async () => {
  const streams = await Promise.all(Array.from({ length: 16 }, followRaw));
  const each = { ...(await openPage(browser)), origin: url };
  opened.push(each);
  const { page } = each;
  await page.clock.install();
  await page.goto(`${url}/`);
  await says(page, '#link', /^Other pages follow this relay already, so this one asks every 5 seconds\.$/);
  await send(url);
  await page.clock.runFor(5000);
  await says(page, '#totals', accepted(1));
  for (const stream of streams) stream.end();
  const link = page.locator('#link');
  for (let polls = 0; polls < 60 && (await link.innerText()) !== 'Live.'; polls += 1) await page.clock.runFor(5000);
  await says(page, '#link', /^Live\.$/);
});

void test('a page whose relay is gone says since when, and follows the next relay', async () => {
  const { page } = await open();
  await says(page, '#link', /^Live\.$/);
  const { port } = new URL(url);
  await relay.close({ deadlineMs: 0 });
  await says(page, '#link', /^The relay has not answered since \d\d:\d\d:\d\d UTC\./);
  await start({ listen: `127.0.0.1:${port}` });
  await says(page, '#link', /^Live\.$/);
});

void test('the page works behind a secret prefix, and on the address of the metrics', async () => {
  await start({ prefix: 'correct-horse-battery' });
  const { page } = await open({}, '/correct-horse-battery/');
  await says(page, '#link', /^Live\.$/);
  await start({ metricsListen: '127.0.0.1:0' });
  assert.equal(await send(url, '/'), 404);
  url = metricsUrl;
  const { page: other } = await open();
  await says(other, '#link', /^Live\.$/);
});

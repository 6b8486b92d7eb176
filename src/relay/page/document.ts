/** The page as one document, and its headers. */
import { createHash } from 'node:crypto';
import { html, Html, NOTHING } from './html.js';
import { partsOf, stateWord } from './parts.js';
import type { PageView, PartName } from './parts.js';
import { SCRIPT } from './script.js';
import { STYLE } from './style.js';

/** Without scripts the page is loaded again after so many seconds. */
const RELOAD_S = 5;

/** A drawing of a waiting line, so that no browser asks for `/favicon.ico`. */
const ICON =
  'data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E' +
  '%3Cpath fill=%22%231257b0%22 d=%22M1 3h9v3H1zM1 7h12v3H1zM1 11h6v3H1z%22/%3E%3C/svg%3E';

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** What the page may load: its own style and script, by their hashes, its icon, and the stream of its relay. */
const POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(SCRIPT)}`,
  `style-src ${hashOf(STYLE)}`,
  'img-src data:',
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Headers of the page and of its stream, names and values in turn. No other origin may read them or show them in a frame. */
export const PAGE_HEADERS: readonly string[] = [
  'content-security-policy',
  POLICY,
  'cache-control',
  'no-store',
  'cross-origin-resource-policy',
  'same-origin',
  'referrer-policy',
  'no-referrer',
  'x-content-type-options',
  'nosniff',
  'x-frame-options',
  'DENY',
];

/** What the shapes of the chart mean. */
const KEY = [
  [html`<rect class="accepted" width="28" height="16"/>`, 'accepted'],
  [html`<polyline class="sent" points="0,8 28,8"/>`, 'sent'],
  [html`<rect class="failed" x="8" width="12" height="16"/>`, 'failed'],
  [html`<rect class="dropped" x="8" width="12" height="16"/>`, 'dropped'],
].map(({ 0: shape = NOTHING, 1: word = '' }) => html`<li><svg viewBox="0 0 28 16" aria-hidden="true">${shape}</svg>${word}</li>`);

/** The whole page. Never throws. */
export function documentOf(view: PageView): string {
  const parts = partsOf(view);
  const { status, events } = view;
  const part = (name: PartName): Html => new Html(parts.get(name) ?? '');
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${stateWord(status)} - relay</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="${new Html(ICON)}">
<noscript><meta http-equiv="refresh" content="${RELOAD_S}"></noscript>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header><h1>Relay of usage events</h1></header>
<main>
<section class="wide" aria-labelledby="state-heading"><h2 id="state-heading" class="unseen">State</h2>
<p id="state" data-part role="status">${part('state')}</p>
<div id="sentence" data-part>${part('sentence')}</div><p id="link" class="note" role="status"></p></section>
<section aria-labelledby="facts-heading"><h2 id="facts-heading">Delivery</h2><dl id="facts" data-part>${part('facts')}</dl></section>
<section aria-labelledby="totals-heading"><h2 id="totals-heading">Events since the start</h2>
<dl id="totals" data-part>${part('totals')}</dl>
<h2 id="spool-heading">Spool</h2><div id="spool" data-part>${part('spool')}</div></section>
<section class="wide" aria-labelledby="chart-heading"><h2 id="chart-heading">Events a minute, in the last hour</h2>
<div id="chart" data-part>${part('chart')}</div><ul class="key">${KEY}</ul>
<details><summary>The numbers of the chart</summary><table id="minutes" data-part>${part('minutes')}</table></details></section>
<section aria-labelledby="reasons-heading"><h2 id="reasons-heading">Reasons</h2>
<div id="reasons" data-part>${part('reasons')}</div></section>
<section aria-labelledby="answers-heading"><h2 id="answers-heading">Answers to clients</h2>
<div id="answers" data-part>${part('answers')}</div></section>
${events === undefined ? NOTHING : eventsSection(part('events'))}
</main>
<footer><p id="now" data-part>${part('now')}</p>
<noscript><p>Without scripts, this page is loaded again every ${RELOAD_S} seconds.</p></noscript></footer>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`;
  return page.source;
}

function eventsSection(events: Html): Html {
  return html`<section class="wide" aria-labelledby="events-heading"><h2 id="events-heading">The last events</h2>
<p class="note">At most 50, in memory only, because this relay was started with <code>--show-events</code>.</p>
<div id="events" data-part>${events}</div></section>`;
}

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { acmePrivacyNotice } from '../../examples/acme/events.js';
import { metadataFields } from '../../src/events/dag-run.js';
import { fieldExample } from '../../src/notice/fields.js';
import { productEvents } from '../../src/events/product-events.js';
import { standardFields } from '../../src/events/standard-metrics.js';
import {
  compressTelemetryMetadata,
  COSMOS_ENDPOINT,
  count,
  createTelemetry,
  defineEvent,
  hash,
  identifier,
  oneOf,
  renderPrivacyNotice,
} from '../../src/index.js';
import type { EventDefinition, Fields, UsageMetrics } from '../../src/index.js';
import { DEFAULT_MAX_AGE_MS } from '../../src/relay/spool/options.js';
import { recordingTransport } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const cosmos = renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT });
const acme = renderPrivacyNotice({ product: { name: 'acme' } });

const note = { description: 'For this test.', reason: 'For this test.' };
const oneLine = (text: string) => text.replace(/\\?\s+/g, ' ');

/** The text of the notice under a heading, up to the next one. */
function section(notice: string, heading: string): string {
  const [, rest = ''] = notice.split(new RegExp(`^#{2,3} ${heading}\n`, 'm'));
  return rest.split(/^#{2,3} /m)[0] ?? '';
}

/** Name and example of each field that a section lists, in order. */
function examples(text: string): [string, string][] {
  return [...text.matchAll(/^- \*\*`(\w+)`\*\*, for example `([^`]+)`:/gm)].map(([, name = '', value = '']) => [name, value]);
}

test('PRIVACY.md matches the declarations', (t) => {
  const file = readFileSync(`${ROOT}PRIVACY.md`, 'utf8');
  t.true(file === cosmos, 'PRIVACY.md differs from the declarations: run `npm run privacy` and read what changed');
});

test('the notice of the example product matches its declarations', (t) => {
  const file = readFileSync(`${ROOT}examples/acme/PRIVACY.md`, 'utf8');
  t.true(file === acmePrivacyNotice(), 'examples/acme/PRIVACY.md differs from the declarations: run `npm run privacy`');
  t.deepEqual(examples(section(file, '`backfill`')), [
    ['outcome', 'completed'],
    ['days', '31'],
    ['elapsed', '84.2'],
  ]);
});

test(proves('relay-age-bound', 'the notice of cosmos says how long a relay keeps an event on disk; others have no relay'), (t) => {
  const text = oneLine(section(cosmos, 'Where it goes'));
  t.is(DEFAULT_MAX_AGE_MS, 24 * 3_600_000);
  t.regex(text, /for at most 24 hours, or what `--max-age-ms` says\./);
  t.regex(text, /anew, once: it is then kept for at most twice as long, 48 hours\./);
  t.notRegex(acme, /relay|48 hours/);
});

test('every event and every field is listed, with its description, its reason and an example', (t) => {
  const events = [...productEvents('cosmos', 'airflow', []).values()];
  const groups: [string, Fields][] = [['With every event', standardFields('cosmos', 'airflow')]];
  for (const { type, fields } of events) groups.push([`\`${type}\``, type === 'dag_run' ? { ...fields, ...metadataFields } : fields]);
  for (const [heading, fields] of groups) {
    const text = section(cosmos, heading);
    t.deepEqual(
      examples(text).map(([name]) => name),
      Object.keys(fields),
    );
    for (const { description, reason } of Object.values(fields))
      t.true(oneLine(text).includes(`${description} *Why:* ${reason}`), description);
  }
  for (const { type, description } of events) t.true(oneLine(section(cosmos, `\`${type}\``)).startsWith(` ${description} `), type);
});

async function sentWith(product: string, definition: EventDefinition): Promise<string> {
  const metrics: UsageMetrics = {};
  for (const [name, field] of Object.entries(definition.fields)) metrics[name] = fieldExample(field);
  const metadata = Object.fromEntries(Object.entries(metadataFields).map(([name, field]) => [name, fieldExample(field)]));
  const packed = definition.type === 'dag_run' ? compressTelemetryMetadata(metadata) : undefined;
  const transport = recordingTransport();
  const telemetry = createTelemetry({ product: { name: product, version: '1.12.0' }, transport, env: {} });
  telemetry.bus.publish(definition.type as 'dag_run', metrics as never, packed);
  await telemetry.close();
  return transport.events[0]?.requestTarget ?? '';
}

for (const product of ['cosmos', 'acme']) {
  test(`${product}: each example is written as it is sent`, async (t) => {
    const notice = product === 'cosmos' ? cosmos : acme;
    for (const definition of productEvents(product, 'airflow', []).values()) {
      const pairs = (await sentWith(product, definition)).split('?')[1]?.split('&') ?? [];
      const own = pairs.slice(pairs.findIndex((pair) => pair.startsWith('platform_machine=')) + 1);
      t.deepEqual(
        examples(section(notice, `\`${definition.type}\``)).map((pair) => pair.join('=')),
        own,
      );
    }
  });
}

test('the complete request is one that would be sent', (t) => {
  const [, text = ''] = /```text\n([^`]+)```/.exec(cosmos) ?? [];
  t.is(
    text.replaceAll(/\n */g, ''),
    'GET /v3/dag_run?cosmos_version=1.12.0&airflow_version=2.10.1&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&' +
      'dag_hash=06e5b98c2db46f8a72cc4f66410e9b3b&status=success&task_count=10&cosmos_task_count=8&execution_modes=kubernetes__local',
  );
});

test('the notice does not call anything anonymous that is not', (t) => {
  for (const notice of [cosmos, acme]) {
    const claims = [...oneLine(notice).matchAll(/(\w+\W+\w+\W+)anonymous/gi)].map(([claim]) => claim);
    t.deepEqual([...new Set(claims)], ['Is it anonymous', 'is-not-anonymous', 'Pseudonymous, not anonymous', 'is not anonymous']);
  }
  t.is(createHash('md5').update('jaffle_shop').digest('hex'), '06e5b98c2db46f8a72cc4f66410e9b3b');
  t.regex(oneLine(section(cosmos, 'What is not anonymous')), /`dag_hash` is the md5 of the DAG id/);
  t.notRegex(acme, /md5/, 'other products have no default digest');
  t.regex(section(acme, 'What is not anonymous'), /`operator_name`/);
  t.regex(
    oneLine(section(acme, 'What is never collected')),
    /IP addresses: .* the server that receives a request sees the address that it comes from/,
  );
});

test("a product's own digests and names are listed as not anonymous", (t) => {
  const event = defineEvent('render', { place: hash(note), selector: identifier(note), kind: oneOf(['a'], note) });
  const text = section(renderPrivacyNotice({ product: { name: 'acme' }, events: [event] }), 'What is not anonymous');
  t.regex(oneLine(text), /Digests can be guessed\*\*: `dag_hash`, `place`\./);
  t.regex(text, /`selector`/);
  t.notRegex(text, /`kind`/);
});

function to(endpoint?: string | URL): string {
  return oneLine(section(renderPrivacyNotice({ product: { name: 'acme' }, ...(endpoint && { endpoint }) }), 'Where it goes'));
}

test('the notice says where events are sent, and whether others can read them on the way', (t) => {
  t.regex(
    to(new URL('https://telemetry.acme.example/in/')),
    /^ To `https:\/\/telemetry\.acme\.example\/in`, over an encrypted connection\./,
  );
  t.regex(to('http://telemetry.acme.example'), /over plain HTTP, which anyone on the network path can read\./);
  t.regex(to(), /^ To the endpoint that the program names; there is no default\..*`ACME_TELEMETRY_ENDPOINT`/);
});

test('the notice uses the name of the host', (t) => {
  const notice = renderPrivacyNotice({ product: { name: 'acme' }, host: { name: 'prefect' } });
  t.deepEqual(examples(section(notice, 'With every event')).slice(0, 3), [
    ['acme_version', '1.12.0'],
    ['prefect_version', '2.10.1'],
    ['python_version', '3.11.7'],
  ]);
});

test('the notice is Markdown, the same each time, and readable in a terminal', (t) => {
  const hostile = defineEvent(
    'render',
    {
      kind: oneOf(['a|b', 'c`d'], { description: 'One\n\n# or <b>two</b>.', reason: 'To | know.' }),
      many: count(note),
      blank: oneOf(['', 'x'], note),
    },
    'Sent | when.\n- it ends',
  );
  const odd = renderPrivacyNotice({ product: { name: 'acme' }, events: [hostile, defineEvent('bare', {})] });
  t.true(odd.includes('- **`blank`**, for example empty: one of nothing, `x`\\\n'));
  t.true(odd.includes('\n  One # or \\<b>two\\</b>.\\\n'));
  for (const notice of [cosmos, acme, odd]) {
    t.true(notice.endsWith('.\n') && !notice.endsWith('\n\n'));
    for (const line of notice.split('\n')) {
      t.true(line.length <= (line.startsWith('|') ? 140 : 105), line);
      if (line.startsWith('|')) t.is(line.match(/(?<!\\)\|/g)?.length, 4, line);
    }
    const anchors = new Set(
      [...notice.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase().replaceAll('`', '').replaceAll(' ', '-')),
    );
    for (const [, anchor = ''] of notice.matchAll(/\]\(#([^)]+)\)/g)) t.true(anchors.has(anchor), anchor);
    t.is(notice.match(/^# /gm)?.length, 1);
  }
  t.is(renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: new URL(COSMOS_ENDPOINT) }), cosmos);
});

test.serial('the command of the notice names the switch that decides', async (t) => {
  const [, script = ''] = /-e "\n([^"]+)"\n```/.exec(acme) ?? [];
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT, env: { ACME_TELEMETRY: 'off' } });
  t.regex(stdout, /enabled: false,\s+rules: \[\s+\{\s+name: 'ACME_TELEMETRY',\s+value: 'off',\s+optsOut: true/);
});

test('options that createTelemetry refuses are refused here, too, by name and without secrets', (t) => {
  const refuses = (options: unknown, message: RegExp) => {
    t.throws(() => renderPrivacyNotice(options as Parameters<typeof renderPrivacyNotice>[0]), { instanceOf: TypeError, message });
  };
  refuses(undefined, /`options` to be an object, got undefined/);
  refuses({}, /`product` to match .* got undefined/);
  refuses({ product: 'Acme Inc' }, /`product` to match .* got "Acme Inc"/);
  refuses({ product: 7 }, /`product` to be a string, got 7/);
  refuses({ product: 'acme', hostName: 'Air flow' }, /`hostName` to match/);
  refuses({ product: 'acme', hostName: 'acme' }, /to have different names, got "acme" twice/);
  refuses({ product: 'acme', endpoint: 'ftp://acme.example' }, /endpoint/);
  refuses({ product: 'acme', endpoint: 7 }, /`endpoint` to be a URL, got 7/);
  refuses({ product: 'acme', events: {} }, /`events` to be a list of event definitions/);
  refuses({ product: 'acme', events: [defineEvent('dag_run', {})] }, /declare each type once/);
  refuses({ product: 'acme', end_point: 'https://acme.example' }, /known keys only, got `end_point`/);
  const error = t.throws(() => renderPrivacyNotice({ product: { name: 'acme' }, endpoint: 'https://me:secret@acme.example/?token=1' }));
  t.notRegex(error.message, /secret|token/);
});

import { exec, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { acme as ACME } from '../../examples/acme/product.js';
import { fieldExample } from '../../src/notice/fields.js';
import { productEvents } from '../../src/events/product-events.js';
import type { DeclaredEvent } from '../../src/events/product-events.js';
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
  writePrivacyNotice,
} from '../../src/index.js';
import type { Fields, Host, TelemetryOptions, UsageMetrics } from '../../src/index.js';
import { DEFAULT_MAX_AGE_MS } from '../../src/relay/spool/options.js';
import { recordingTransport } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const cosmos = renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT });
const acme = renderPrivacyNotice({ product: { name: 'acme' } });

const note = { description: 'For this test.', reason: 'For this test.' };
const WHERE = 'Where it goes, and how to see it';
const NOT_SENT = 'What is not sent, and what is not anonymous';

/** The text of the notice under a heading, up to the next one. */
function section(notice: string, heading: string): string {
  const [, rest = ''] = notice.split(new RegExp(`^## ${heading}\n`, 'm'));
  return rest.split(/^## /m)[0] ?? '';
}

/** The text before the first heading of a section. */
function openingOf(notice: string): string {
  return notice.split('\n\n')[0] ?? '';
}

/** The rows of the table about an event, or about `every event`. */
function about(notice: string, title: string): string {
  const rows = notice.split('\n').filter((line) => line.startsWith(`| ${title} | `));
  return rows.map((line) => `${line}\n`).join('');
}

/** Name and example of each field that rows list, in order. */
function examples(rows: string): [string, string][] {
  return [...rows.matchAll(/^\| [^|]+ \| `(\w+)` \| `([^`]+)` \| /gm)].map(([, name = '', value = '']) => [name, value]);
}

test('PRIVACY.md matches the declarations', (t) => {
  const file = readFileSync(`${ROOT}PRIVACY.md`, 'utf8');
  t.true(file === cosmos, 'PRIVACY.md differs from the declarations: run `npm run privacy` and read what changed');
});

const acmeFile = readFileSync(`${ROOT}examples/acme/PRIVACY.md`, 'utf8');

test('the notice of the example product matches its declarations', (t) => {
  t.true(acmeFile === renderPrivacyNotice(ACME), 'examples/acme/PRIVACY.md differs from the declarations: run `npm run privacy`');
  t.deepEqual(examples(about(acmeFile, '`backfill`')), [
    ['outcome', 'completed'],
    ['days', '31'],
    ['elapsed', '84.2'],
  ]);
});

test('the notice of a product with its own name is one page, and nothing of it is about dbt, Airflow or Python', (t) => {
  t.true(acmeFile.trimEnd().split('\n').length <= 60);
  t.notRegex(acmeFile, /dbt|models|schema|airflow|python|cosmos(?!-telemetry)/i);
});

test('the first line says for whom the notice is', (t) => {
  t.true(cosmos.startsWith('# Privacy notice for users of `cosmos`\n'));
  t.true(acmeFile.startsWith('# Privacy notice for users of `acme`\n'));
});

test("the product's own words about contact and retention, its common fields and its command are in the notice", (t) => {
  t.deepEqual(examples(about(acmeFile, 'every event')).at(-1), ['edition', 'community']);
  t.regex(section(acmeFile, WHERE), /The server keeps requests for 90 days\..*Questions: privacy@acme\.example\.\n/s);
  t.regex(section(acmeFile, 'How to stop it'), /run `acme telemetry status`\./);
  t.regex(section(acme, WHERE), /The operator of the server decides what the server keeps and for how long\./);
  const odd = renderPrivacyNotice({ product: { name: 'acme' }, contact: 'Ask\n\n# <b>us</b>.' });
  t.true(odd.includes('Ask # \\<b>us\\</b>.'), 'a text cannot begin a block or HTML');
});

test('the notice of an opt-in product says that it is off until it is turned on, how, and how it is turned off again', (t) => {
  const opening = openingOf(renderPrivacyNotice({ ...ACME, consent: 'opt-in' }));
  t.true(
    opening.includes(
      '**It is off until you ask for it**: run `acme telemetry enable`, answer `y` if the program asks you in a terminal, set ' +
        '`ACME_TELEMETRY=on` in the environment, or write `{"enabled": true}` into your own file (below). To turn it off again, run ' +
        '`acme telemetry disable`, or use another switch (below).',
    ),
    opening,
  );
  t.notRegex(opening, /To stop it/);
  t.notRegex(acmeFile, /off until/);
  t.regex(openingOf(acmeFile), /To stop it, run `acme telemetry disable`, set `ACME_TELEMETRY=off`/);
  for (const consent of ['opt-in', 'opt-out'] as const) {
    t.notRegex(openingOf(renderPrivacyNotice({ product: { name: 'acme' }, consent })), /telemetry (?:en|dis)able/, 'without a command');
  }
});

test('what is left out of the standard events is not in the notice', (t) => {
  const notice = renderPrivacyNotice({ ...ACME, standardEvents: ['dag_run'] });
  t.notRegex(notice, /task_instance|operator_name/);
  t.regex(notice, /There are 2 types of events\./);
  t.notRegex(renderPrivacyNotice({ ...ACME, standardEvents: false }), /dag_run/);
  const bare = renderPrivacyNotice({ product: { name: 'acme' }, standardEvents: false });
  t.regex(bare, /There are 0 types of events/);
});

test('writePrivacyNotice() writes the notice once, and checks the options first', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'notice-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'PRIVACY.md');
  t.throws(() => writePrivacyNotice(file, { ...ACME, dbt: 1 } as never), { instanceOf: TypeError, message: /`dbt`/ });
  t.false(existsSync(file));
  t.true(writePrivacyNotice(file, ACME));
  t.is(readFileSync(file, 'utf8'), acmeFile);
  t.false(writePrivacyNotice(pathToFileURL(file), ACME));
  t.throws(() => writePrivacyNotice(path.join(folder, 'none', 'PRIVACY.md'), ACME), { code: 'ENOENT' });
});

test(proves('relay-age-bound', 'the notice of cosmos says how long a relay keeps an event on disk; others have no relay'), (t) => {
  const text = section(cosmos, WHERE);
  t.is(DEFAULT_MAX_AGE_MS, 24 * 3_600_000);
  t.regex(text, /for at most 24 hours, or what `--max-age-ms` says\./);
  t.regex(text, /anew, once: it is then kept for at most twice as long, 48 hours\./);
  t.notRegex(acme, /relay|48 hours/);
});

test('the notice of cosmos says of a relay where it listens, where an event lies and who can read it', (t) => {
  const [, relay = ''] = /^- \*\*A relay keeps events on disk\.\*\* (.+)$/m.exec(cosmos) ?? [];
  for (const fact of [
    'It listens on `127.0.0.1:8787`',
    'only with `--allow-remote`',
    'with `--verbatim` all fields',
    'in a file in DIR, or in its folder `cosmos-relay`: in clear',
    'The user of the relay and the administrators of the machine can read it',
  ]) {
    t.true(relay.includes(fact), fact);
  }
});

test('the notice says whom to ask about the server of Cosmos, only where it is that server', (t) => {
  const words = /Scarf|Astronomer uses|This package belongs to neither/;
  t.regex(section(cosmos, WHERE), words);
  t.notRegex(renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: 'https://telemetry.acme.example' }), words);
  t.notRegex(acmeFile, words);
  const own = renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT, contact: 'Ask us.', retention: 'A day.' });
  t.regex(section(own, WHERE), /\n- \*\*What the server keeps, and whom to ask\.\*\* A day\. Ask us\.\n/);
});

test('the notice names the two ways around its list', (t) => {
  for (const notice of [cosmos, acme]) {
    t.regex(section(notice, NOT_SENT), /`emitUsageMetrics` sends what the program hands over, unchecked, and a `transport` of the program/);
  }
});

test('a command of the notice has one form for every system, or one for each', async (t) => {
  for (const notice of [cosmos, acmeFile]) {
    t.regex(section(notice, 'How to stop it'), /`export DO_NOT_TRACK=1` .*\(Linux, macOS\), or `setx DO_NOT_TRACK 1` \(Windows/);
    t.notRegex(notice, /md5sum|printf/);
  }
  const [, digest = ''] = /`(node -p "[^`]+")` prints the `dag_hash`/.exec(cosmos) ?? [];
  const { stdout } = await promisify(exec)(digest, { env: { PATH: process.env['PATH'] } });
  t.is(stdout, '06e5b98c2db46f8a72cc4f66410e9b3b\n');
});

test('every event and every field is listed, with its description, its reason and an example', (t) => {
  const events = [...productEvents('cosmos', 'airflow', []).values()];
  const groups: [string, Fields][] = [['every event', standardFields('cosmos', 'airflow')]];
  for (const { type, fields, metadata } of events) {
    groups.push([`\`${type}\``, fields], ...(metadata ? [[`\`${type}\`, metadata`, metadata] as [string, Fields]] : []));
  }
  t.is(groups.length, 5);
  for (const [title, fields] of groups) {
    const text = about(cosmos, title);
    t.deepEqual(
      examples(text).map(([name]) => name),
      Object.keys(fields),
    );
    for (const { description, reason } of Object.values(fields)) {
      t.true(text.includes(` | ${description} `), description);
      t.true(text.includes(` | ${reason} |\n`), reason);
    }
  }
  for (const { type, description } of events) t.true(cosmos.includes(`\n- **\`${type}\`.** ${description}\n`), type);
});

async function sentWith(options: TelemetryOptions, definition: DeclaredEvent): Promise<string> {
  const metrics: UsageMetrics = {};
  for (const [name, field] of Object.entries(definition.fields)) metrics[name] = fieldExample(field);
  const metadata = Object.fromEntries(Object.entries(definition.metadata ?? {}).map(([name, field]) => [name, fieldExample(field)]));
  const packed = definition.metadata && compressTelemetryMetadata(metadata);
  const transport = recordingTransport();
  const telemetry = createTelemetry({ ...options, transport, env: {} });
  telemetry.bus.publish(definition.type as 'dag_run', metrics as never, packed);
  await telemetry.close();
  return transport.events[0]?.requestTarget ?? '';
}

const DESCRIPTIONS: TelemetryOptions[] = [
  { product: { name: 'cosmos', version: '1.12.0' } },
  { product: { name: 'acme', version: '1.12.0' } },
  { product: { name: 'acme', version: '1.12.0' }, dbt: true, executionModes: ['local', 'docker'], dagHash: () => null },
];

for (const options of DESCRIPTIONS) {
  test(`${options.product.name}${options.dbt ? ' with dbt' : ''}: each example is written as it is sent`, async (t) => {
    const notice = renderPrivacyNotice(options);
    for (const definition of productEvents(options.product.name, 'airflow', [], options).values()) {
      const pairs = (await sentWith(options, definition)).split('?')[1]?.split('&') ?? [];
      const own = pairs.slice(pairs.findIndex((pair) => pair.startsWith('platform_machine=')) + 1);
      const text = about(notice, `\`${definition.type}\``) + about(notice, `\`${definition.type}\`, metadata`);
      t.deepEqual(
        examples(text).map((pair) => pair.join('=')),
        own,
      );
    }
  });
}

test("the examples of versions change with no release, and another product's notice has no version or word of Cosmos or Airflow", (t) => {
  const options = { ...ACME, host: { name: 'prefect', version: '9.8.7' }, dbt: true, dagHash: () => null };
  const notice = renderPrivacyNotice({ ...options, product: { name: 'acme', version: '3.1.0' } });
  t.deepEqual(examples(about(notice, 'every event')).slice(0, 3), [
    ['acme_version', '1.4.0'],
    ['prefect_version', '1.4.0'],
    ['node_version', '20.19.0'],
  ]);
  t.true(request(notice)?.startsWith('GET /v3/dag_run?acme_version=1.4.0&prefect_version=1.4.0&'));
  t.notRegex(notice, /1\.12\.0|2\.10\.1|airflow|cosmos(?!-telemetry)/i);
  for (const version of ['3.1.0', '3.2.0']) t.is(renderPrivacyNotice({ ...options, product: { name: 'acme', version } }), notice);
});

const request = (notice: string) => /An example: `([^`]+)`/.exec(notice)?.[1];

test('the complete request is one that would be sent', (t) => {
  t.is(
    request(cosmos),
    'GET /v3/dag_run?cosmos_version=1.12.0&airflow_version=2.10.1&python_version=3.11.7&platform_system=Linux&platform_machine=x86_64&' +
      'dag_hash=06e5b98c2db46f8a72cc4f66410e9b3b&status=success&task_count=10&cosmos_task_count=8&execution_modes=kubernetes__local',
  );
  t.is(
    request(acmeFile),
    'GET /v3/dag_run?acme_version=1.4.0&node_version=20.19.0&platform_system=Linux&platform_machine=x86_64&edition=community&' +
      'status=success&task_count=10&acme_task_count=8&failed_count=1&retried_count=2&skipped_count=0&duration=93.5&execution_modes=spark',
  );
});

test('the notice does not call anything anonymous that is not', (t) => {
  for (const notice of [cosmos, acme]) {
    const claims = [...notice.matchAll(/(\w+\W+\w+\W+)anonymous/gi)].map(([claim]) => claim);
    const pseudonymous = notice === cosmos ? ['Pseudonymous, not anonymous'] : [];
    t.deepEqual([...new Set(claims)], [...pseudonymous, 'is not anonymous']);
  }
  t.is(createHash('md5').update('jaffle_shop').digest('hex'), '06e5b98c2db46f8a72cc4f66410e9b3b');
  t.regex(section(cosmos, NOT_SENT), /`dag_hash` is the md5 of the DAG id/);
  t.notRegex(acme, /md5|dag_hash|Digests/, 'other products have no digest unless they provide one');
  t.regex(section(acme, NOT_SENT), /`operator_name`/);
  t.notRegex(section(acmeFile, NOT_SENT), /execution_mode/, 'a closed list of words holds no name that an organization chose');
  t.regex(section(acme, NOT_SENT), /No field holds .* IP addresses\.\n.*the server sees the address that a request comes from/s);
});

test("a product's own digests and names are listed as not anonymous", (t) => {
  const event = defineEvent('render', { place: hash(note), selector: identifier(note), kind: oneOf(['a'], note) });
  const text = section(renderPrivacyNotice({ product: { name: 'acme' }, events: [event], dagHash: () => null }), NOT_SENT);
  t.regex(text, /Digests can be guessed\*\*: `dag_hash`, `place`\./);
  t.regex(text, /`selector`/);
  t.notRegex(text, /`kind`/);
});

function to(endpoint?: string | URL): string {
  return section(renderPrivacyNotice({ product: { name: 'acme' }, ...(endpoint && { endpoint }) }), WHERE);
}

test('the notice says where events are sent, and whether others can read them on the way', (t) => {
  t.regex(
    to(new URL('https://telemetry.acme.example/in/')),
    /^\n- \*\*The server\.\*\* To `https:\/\/telemetry\.acme\.example\/in`, over an encrypted connection\./,
  );
  t.regex(to('http://telemetry.acme.example'), /over plain HTTP, which anyone on the network path can read\./);
  t.regex(to(), /^\n- \*\*The server\.\*\* To the endpoint that the program names; there is no default\..*`ACME_TELEMETRY_ENDPOINT`/);
});

function standardNames(host?: Host): string[] {
  const notice = renderPrivacyNotice({ product: { name: 'acme' }, ...(host && { host }) });
  return examples(about(notice, 'every event')).map(([name]) => name);
}

test('the notice has the versions that may be sent: of the host if one is described, of Python if it may have one', (t) => {
  const platform = ['platform_system', 'platform_machine'];
  t.deepEqual(standardNames(), ['acme_version', 'node_version', ...platform]);
  t.deepEqual(standardNames({ name: 'prefect' }), ['acme_version', 'prefect_version', 'node_version', ...platform]);
  t.deepEqual(standardNames({ name: 'prefect', pythonVersion: '3.12.1' }), [
    'acme_version',
    'prefect_version',
    'python_version',
    'node_version',
    ...platform,
  ]);
  t.deepEqual(standardNames({}), ['acme_version', 'airflow_version', 'python_version', 'node_version', ...platform]);
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
  const rows = about(odd, '`render`');
  t.is(
    rows,
    '| `render` | `kind` | `a%7Cb` | One # or \\<b>two\\</b>. One of `a\\|b`, ``c`d``. | To \\| know. |\n' +
      '| `render` | `many` | `3` | For this test. A whole number from 0 to 2^53. | For this test. |\n' +
      '| `render` | `blank` | empty | For this test. One of nothing, `x`. | For this test. |\n',
  );
  t.true(odd.includes('\n- **`render`.** Sent | when. - it ends\n'));
  t.true(odd.includes('\n- **`bare`.** Sent when the product publishes `bare`. It has no fields of its own.\n'));
  for (const notice of [cosmos, acme, acmeFile, odd]) {
    t.true(notice.endsWith('.\n') && !notice.endsWith('\n\n'));
    for (const line of notice.split('\n')) t.true(line.length <= 1100, line);
    t.is(notice.match(/^# /gm)?.length, 1);
    t.is(notice.match(/^## /gm)?.length, 4);
  }
  t.is(renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: new URL(COSMOS_ENDPOINT) }), cosmos);
});

test.serial('the command of the notice names the switch that decides', async (t) => {
  const [, script = ''] = /-e "([^"]+)"`/.exec(acme) ?? [];
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: ROOT, env: { ACME_TELEMETRY: 'off' } });
  t.regex(stdout, /enabled: false,\s+rules: \[\s+\{\s+name: 'ACME_TELEMETRY',\s+value: 'off',\s+optsOut: true/);
});

test('options that createTelemetry refuses are refused here, too, by name and without secrets', (t) => {
  const refuses = (options: unknown, message: RegExp) => {
    t.throws(() => renderPrivacyNotice(options as Parameters<typeof renderPrivacyNotice>[0]), { instanceOf: TypeError, message });
  };
  refuses(undefined, /`options` to be an object, got undefined/);
  refuses({}, /`product` to be an object, got undefined/);
  refuses({ product: 'acme' }, /`product` to be an object, got "acme"/);
  refuses({ product: { name: 'Acme Inc' } }, /`product\.name` to match .* got "Acme Inc"/);
  refuses({ product: { name: 7 } }, /`name` to be a string, got 7/);
  const product = { name: 'acme' };
  refuses({ product, host: { name: 'Air flow' } }, /`host\.name` to match/);
  refuses({ product, host: { name: 'acme' } }, /to have different names, got "acme" twice/);
  refuses({ product, endpoint: 'ftp://acme.example' }, /endpoint/);
  refuses({ product, endpoint: 7 }, /`endpoint` to be a URL, got 7/);
  refuses({ product, events: {} }, /`events` to be a list of event definitions/);
  refuses({ product, events: [defineEvent('dag_run', {})] }, /name of a standard event/);
  refuses({ product, end_point: 'https://acme.example' }, /known keys only, got `end_point`/);
  refuses({ product, contact: ' ' }, /`contact` to be a text, got " "/);
  refuses({ product, retention: 90 }, /`retention` to be a text, got 90/);
  const error = t.throws(() => renderPrivacyNotice({ product, endpoint: 'https://me:secret@acme.example/?token=1' }));
  t.notRegex(error.message, /secret|token/);
});

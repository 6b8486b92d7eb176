import { EventEmitter } from 'node:events';
import { deflateSync } from 'node:zlib';
import test from 'ava';
import * as fc from 'fast-check';
import { anyText, webUrl } from './helpers/arbitraries.js';
import { EventBuilder } from '../src/delivery/event-builder.js';
import { decideProxy } from '../src/delivery/http/proxy.js';
import { nextHop } from '../src/delivery/http/responses.js';
import { statusOutcome } from '../src/delivery/http/responses.js';
import { standardEvents } from '../src/events/product-events.js';
import { createTelemetry, decompressTelemetryMetadata, TelemetryMetadataError } from '../src/index.js';
import { Ledger } from '../src/base/ledger.js';
import { thisMachine } from '../src/base/machine.js';
import { environmentOptsOut, optOutVariables } from '../src/opt-out/variables.js';
import { readCfgOption } from '../src/opt-out/airflow-cfg.js';
import { resolveSettingsWith, shouldEmit } from '../src/opt-out/settings.js';
import { createTelemetryWith } from '../src/client/telemetry.js';
import { recordingTransport } from '../src/testing/index.js';
import { DAG_RUN_EVENTS, fieldPaths, TASK_INSTANCE_EVENTS, validPackedMetadata, validPayload } from '../src/testing/valid-payloads.js';
import { DeclaredFields } from './helpers/declared.js';
import { fuzz, must } from './helpers/fuzz.js';
import { startTcp } from './helpers/loopback.js';
import { send, transportTo } from './helpers/sending.js';
import { addsUp } from './helpers/telemetry-rig.js';
import { proves } from './helpers/promises.js';

const text = fc.oneof(fc.string(), anyText(), fc.string({ maxLength: 500 }));

// Serial: each measures time and memory of the process.
test.serial(
  proves('hook-fuzz', 'fuzz: metadata blobs are an object or a TelemetryMetadataError, and only declared fields of them leave'),
  async (t) => {
    const valid = Buffer.from(validPackedMetadata(), 'base64');
    const mutated = fc
      .array(fc.record({ at: fc.nat(valid.length - 1), byte: fc.nat(255) }), { minLength: 1, maxLength: 5 })
      .map((changes) => {
        const bytes = Buffer.from(valid);
        for (const { at, byte } of changes) bytes[at] = byte;
        return bytes.toString('base64');
      });
    const known = fc.constantFrom(
      'database',
      'install_deps',
      'total_dbt_models',
      'invocation_mode',
      'test_behavior',
      'status',
      '__proto__',
      'dag_hash',
    );
    const packedJson = fc
      .oneof(
        fc.json(),
        fc.dictionary(known, fc.jsonValue()).map((value) => JSON.stringify(value)),
        text,
      )
      .map((json) => deflateSync(json).toString('base64'));
    const blob = fc.oneof(
      fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes).toString('base64')),
      mutated,
      packedJson,
      text,
    );
    const builder = new EventBuilder({}, new Ledger());
    const [dagRun] = standardEvents('acme', { dbt: true });
    const declared = new DeclaredFields('acme');
    await fuzz(t, blob, (packed) => {
      try {
        const metadata: unknown = decompressTelemetryMetadata(packed);
        must(typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata), 'no object');
      } catch (error) {
        must(error instanceof TelemetryMetadataError, String(error));
      }
      if (dagRun === undefined) return;
      const event = builder.build({ seq: 1, definition: dagRun, metrics: { status: 'success' }, packed, timeMs: 0, built: undefined });
      const { id, timeMs, type, metrics } = event;
      const faults = declared.faults({ id, timeMs, type, metrics, requestTarget: event.requestTarget(), kinds: {} });
      must(faults.length === 0 && event.metrics['status'] === 'success', faults.join('\n'));
    });
  },
);

test.serial(proves('retry-after', 'fuzz: a status and a Retry-After give one outcome, and no pause beyond five minutes'), async (t) => {
  const retryAfter = fc.oneof(
    text,
    fc.integer().map(String),
    fc.double().map(String),
    fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    fc.constant(null),
  );
  await fuzz(t, fc.tuple(fc.integer({ min: -1, max: 1000 }), retryAfter), ([status, header]) => {
    const outcome = statusOutcome(status, { get: () => header }, { wallNow: () => 1_767_225_600_000 });
    must((outcome.kind === 'sent') === (status >= 200 && status <= 299), outcome.kind);
    if ('reason' in outcome) must(outcome.reason === `http_${status}`, outcome.reason);
    if (outcome.kind === 'deferred') must(outcome.waitMs > 0 && outcome.waitMs <= 300_000, `${outcome.waitMs} ms`);
  });
});

test.serial(
  proves('redirect-origin', 'fuzz: no Location leads anywhere but to the own origin and the hosts allowed, never from https to http'),
  async (t) => {
    const host = fc.constantFrom(
      'collector.test',
      'allowed.test',
      'evil.test',
      'collector.test@evil.test',
      'collector.test.evil.test',
      '127.0.0.1',
      '[::1]',
      'COLLECTOR.TEST',
    );
    const built = fc.tuple(
      fc.constantFrom('https:', 'http:', 'ftp:', 'javascript:', ''),
      fc.constantFrom('//', '/', '\\\\', '\\', ''),
      host,
      fc.constantFrom('', ':443', ':80', ':8443'),
      fc.string(),
    );
    const location = fc.oneof(
      text,
      webUrl,
      built.map((parts) => parts.join('')),
    );
    await fuzz(t, location, (value) => {
      const next = nextHop(value, 'https://collector.test/base/v3/dag_run?a=1', 'https://collector.test', new Set(['allowed.test']));
      if (next === undefined) return;
      must(['https://collector.test', 'https://allowed.test'].includes(next.origin), next.href);
      must(next.username === '' && next.password === '', 'credentials');
    });
  },
);

test.serial(
  proves(
    ['hook-fuzz', 'sent-means-2xx'],
    'fuzz: whatever bytes a server answers with, a send has an outcome, and it is only sent where the status was 2xx',
  ),
  async (t) => {
    const line = fc.oneof(
      fc.constantFrom(
        'HTTP/1.1 200 OK',
        'HTTP/1.0 204 None',
        'HTTP/1.1 302 Found',
        'HTTP/1.1 503 Busy',
        'HTTP/1.1 100 Continue',
        'HTTP/1.1 999 ?',
      ),
      fc.string(),
    );
    const header = fc.oneof(
      fc
        .tuple(
          fc.constantFrom('location', 'retry-after', 'content-length', 'transfer-encoding', 'content-encoding', 'connection', 'set-cookie'),
          fc.string(),
        )
        .map(([name, value]) => `${name}: ${value}`),
      fc.constantFrom('content-length: 5', 'transfer-encoding: chunked', 'content-encoding: gzip', 'location: /', 'retry-after: 1'),
      fc.string(),
    );
    const answers = fc
      .tuple(line, fc.array(header, { maxLength: 5 }), fc.string())
      .map(([first, headers, body]) => [first, ...headers, '', body].join('\r\n'));
    let answer = '';
    const server = await startTcp(t, (socket) => {
      socket.on('data', () => socket.end(answer, 'latin1'));
    });
    const transport = transportTo(t, server.port, { attemptTimeoutMs: 2000 });
    const check = async (bytes: string): Promise<void> => {
      answer = bytes;
      const outcome = await send(transport);
      must(['sent', 'retryable', 'rejected', 'deferred'].includes(outcome.kind), outcome.kind);
      if ('reason' in outcome) must(/^[a-z0-9_]{1,40}$/.test(outcome.reason), outcome.reason);
      if (outcome.kind === 'sent') must(/HTTP\/1\.[01] 2\d\d/.test(bytes), bytes);
    };
    await fuzz(t, answers, check, { every: 10 });
  },
);

const VARIABLES = [
  'DO_NOT_TRACK',
  'SCARF_NO_ANALYTICS',
  'ACME_TELEMETRY',
  'ACME_TELEMETRY_ENDPOINT',
  'COSMOS_TELEMETRY',
  'COSMOS_TELEMETRY_ENDPOINT',
  'HOME',
  'AIRFLOW__COSMOS__ENABLE_TELEMETRY',
  'AIRFLOW_CONFIG',
  'AIRFLOW_HOME',
  'HTTP_PROXY',
  'https_proxy',
  'NO_PROXY',
  'no_proxy',
  'ALL_PROXY',
] as const;

test.serial(
  proves('hook-fuzz', 'fuzz: no environment and no file behind it stop a host, and an opt-out beside them still counts'),
  async (t) => {
    const value = fc.oneof(
      text,
      fc.constantFrom(
        '1',
        'true',
        'false',
        '',
        ' F ',
        'none',
        '~',
        '~/x',
        '$HOME',
        '${HOME}/$AIRFLOW_HOME',
        '$AIRFLOW_CONFIG$AIRFLOW_CONFIG',
        '*',
        '10.0.0.0/8,::1',
        '[::1]:8',
      ),
      webUrl,
      fc.tuple(fc.string(), fc.string()).map(([user, host]) => `http://${user}@${host}`),
    );
    const environments = fc.tuple(
      fc.dictionary(fc.constantFrom(...VARIABLES), value, { noNullPrototype: true }),
      fc.constantFrom('acme', 'cosmos'),
      text,
    );
    await fuzz(t, environments, ([env, product, file]) => {
      const settings = resolveSettingsWith({ product, env }, { readFile: () => file });
      must(typeof shouldEmit(settings) === 'boolean' && Object.isFrozen(settings), 'no settings');
      for (const rule of settings.rules) must(rule.value.length <= 64, rule.value);
      if (environmentOptsOut(env, optOutVariables(product))) must(!shouldEmit(settings), 'an opt-out was lost');
      const withOptOut = { ...env, DO_NOT_TRACK: '1' };
      must(!shouldEmit(resolveSettingsWith({ product, env: withOptOut }, { readFile: () => file })), 'DO_NOT_TRACK=1 was ignored');
      must(['direct', 'proxied', 'invalid'].includes(decideProxy(new URL('https://collector.test'), undefined, env).kind), 'no way');
      must(decideProxy(new URL('http://127.0.0.1:1'), undefined, env).kind === 'direct', 'loopback through a proxy');
      const telemetry = createTelemetryWith(
        { product: { name: 'acme', version: '1.0.0' }, endpoint: 'http://127.0.0.1:9', env },
        { ...thisMachine, readFile: () => file },
      );
      must(typeof telemetry.enabled === 'boolean', 'no telemetry');
    });
  },
);

test.serial(proves('hook-fuzz', 'fuzz: no airflow.cfg stops a host'), async (t) => {
  const line = fc.oneof(
    fc.constantFrom(
      '[cosmos]',
      '[DEFAULT]',
      '[',
      '[]',
      'enable_telemetry = %(a)s',
      'ENABLE_TELEMETRY: false',
      'a = %(enable_telemetry)s',
      'a=%',
      ' more',
      '\tmore',
      '#',
      '; x',
      '=',
      ':',
      '\uFEFF',
      'a = %(b)s%(b)s%(b)s',
      'b = %(c)s%(c)s',
    ),
    fc.string(),
  );
  const file = fc.oneof(
    fc.array(line, { maxLength: 30 }).map((lines) => ['[cosmos]', ...lines].join('\n')),
    fc.tuple(fc.array(line), fc.constantFrom('\r\n', '\r', '\n')).map(([lines, end]) => lines.join(end)),
    text,
  );
  await fuzz(t, file, (content) => {
    const entry = readCfgOption(content, 'cosmos', 'enable_telemetry');
    must(['absent', 'found', 'broken'].includes(entry.kind), entry.kind);
    if (entry.kind !== 'absent') must(Number.isInteger(entry.line) && entry.line >= 0, `line ${entry.line}`);
    if (entry.kind === 'found') must(content.includes(entry.shown), 'shown is not in the file');
  });
});

test.serial(
  proves('hook-fuzz', 'fuzz: whatever object graph a host emits, nothing is thrown, nothing ill-typed leaves, and the accounts add up'),
  async (t) => {
    const transport = recordingTransport();
    const telemetry = createTelemetry({ product: { name: 'acme', version: '1.0.0' }, env: {}, transport, drainOnExit: false });
    const host = new EventEmitter();
    telemetry.register(host);
    const declared = new DeclaredFields('acme');
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withObjectString: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      key: fc.oneof(
        fc.constantFrom(
          'dagRun',
          'dag',
          'tasks',
          'params',
          'module',
          'taskInstance',
          'task',
          'value',
          'length',
          'then',
          '__proto__',
          'constructor',
        ),
        fc.string(),
      ),
    });
    const event = fc.constantFrom(...DAG_RUN_EVENTS, ...TASK_INSTANCE_EVENTS);
    const change = fc.record({ event, field: fc.nat(), value: anything, whole: fc.boolean() });
    let runs = 0;
    const look = async (): Promise<void> => {
      const report = await telemetry.drain();
      must(addsUp(report) && report.pending === 0, JSON.stringify(report));
      const faults = transport.events.flatMap((each) => declared.faults(each));
      must(faults.length === 0, faults.slice(0, 5).join('\n'));
      transport.clear();
    };
    const check = ({
      event: name,
      field,
      value,
      whole,
    }: {
      event: (typeof DAG_RUN_EVENTS)[number] | (typeof TASK_INSTANCE_EVENTS)[number];
      field: number;
      value: unknown;
      whole: boolean;
    }): unknown => {
      if (whole) host.emit(name, value);
      else {
        const payload = validPayload(name, 'acme');
        const paths = fieldPaths(name, 'acme');
        const path = paths[field % paths.length] ?? [];
        let holder = payload;
        for (const key of path.slice(0, -1)) holder = holder[key] as Record<string, unknown>;
        holder[path.at(-1) ?? ''] = value;
        host.emit(name, payload);
      }
      runs += 1;
      return runs % 500 === 0 ? look() : undefined;
    };
    await fuzz(t, change, check, { settle: look });
    const { published, sent, dropped, reasons } = telemetry.stats();
    t.is(published, sent + dropped);
    // A graph with ids that comes again is a duplicate, rightly.
    t.deepEqual(
      Object.keys(reasons).filter((reason) => reason !== 'duplicate'),
      ['invalid'],
    );
    t.true(sent > 0);
  },
);

// Real exporters of OpenTelemetry: the last for Node 20 and the newest; JSON, protobuf and gRPC; with receivers that decode all and some that fail.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGrpcCollector } from './otel/grpc-collector.mjs';
import { startOtlpCollector } from './otel/otlp-collector.mjs';

const HERE = import.meta.dirname;
const PROGRAM = join(HERE, 'otel/program.mjs');
const SDKS = [
  { name: 'sdk-logs 0.223.1', folder: join(HERE, 'otel/sdk-0.223'), alias: 'node-20' },
  { name: 'sdk-logs 3.1.1', folder: join(HERE, 'otel/sdk-3'), alias: 'node-24' },
];
const MANY = 20_000;
const failures = [];
const http = await startOtlpCollector();
const grpc = await startGrpcCollector();
const { base, stalled, refused } = http;
/** What the receivers have read. */
const receivers = { http, proto: http, grpc };

function expect(title, seen, expected) {
  const isFine = JSON.stringify(seen) === JSON.stringify(expected);
  console.log(`${isFine ? 'ok    ' : 'FAILED'} ${title}: ${JSON.stringify(seen)}`);
  if (!isFine) failures.push(`${title}: expected ${JSON.stringify(expected)}`);
}

/** Runs one scenario. @returns what it printed, and how long the process lived on after that */
async function run(node, job) {
  for (const { requests } of [http, grpc]) requests.length = 0;
  const child = spawn(node, ['--no-warnings', PROGRAM, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  let saidAtMs = 0;
  child.stdout.on('data', (chunk) => {
    said += chunk;
    saidAtMs = performance.now();
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 90_000);
  const [code] = await once(child, 'close');
  clearTimeout(timer);
  if (code !== 0) failures.push(`${job.scenario}: code ${code}`);
  return { ...(said === '' ? {} : JSON.parse(said)), livedOnMs: Math.round(performance.now() - saidAtMs) };
}

const recordsAt = (format, path) => receivers[format].requests.filter(({ url }) => url.startsWith(path)).flatMap(({ records }) => records);
const isBalanced = ({ published, sent, failed, dropped, pending }) => published === sent + failed + dropped + pending;

/** The attributes that are compared. `tool` has no value. */
const kept = ({ seconds, rows, cached, layer, tool, acme_version: version }) => ({ seconds, rows, cached, layer, tool, version });

/** Every event arrives once, with its kinds, its time and its id. */
async function deliver(node, job, urls, title) {
  const { requests } = receivers[job.format];
  const report = await run(node, { ...job, scenario: 'deliver', events: 2, urls });
  const records = recordsAt(job.format, '/ok');
  const ids = records.map(({ attributes }) => attributes['log.record.uid'][1]);
  const [first] = records;
  expect(`${title}: Node`, report.node, job.version);
  expect(`${title}: the format`, requests[0]?.isJson, job.format === 'http');
  expect(
    `${title}: a duration is a double, and a count is an integer`,
    records.map(({ attributes }) => kept(attributes)),
    [
      [7.000_000_000_000_001, '0', true],
      [7.5, '1', false],
    ].map(([seconds, rows, cached]) => ({
      seconds: ['doubleValue', seconds],
      rows: ['intValue', rows],
      cached: ['boolValue', cached],
      layer: ['stringValue', 'marts'],
      version: ['stringValue', '1.2.0'],
    })),
  );
  expect(
    `${title}: name, severity, product`,
    [first?.eventName, first?.severity, first?.scope],
    ['acme.export_done', '9 INFO', 'acme 1.2.0'],
  );
  expect(`${title}: the resource, with what its detectors found`, first?.resource, {
    'service.name': ['stringValue', 'scheduler'],
    'acme.region': ['stringValue', 'eu'],
  });
  const timeMs = Number(BigInt(first?.timeUnixNano ?? 0) / 1_000_000n);
  expect(`${title}: the time of the event`, timeMs >= report.fromMs - 1 && timeMs <= report.toMs + 1, true);
  expect(`${title}: ids of version 7`, new Set(ids.filter((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/.test(id))).size, 2);
  expect(`${title}: one request`, requests.length, 1);

  const many = await run(node, { ...job, scenario: 'deliver', events: MANY, urls });
  const all = recordsAt(job.format, '/ok');
  const rows = new Set(all.map(({ attributes }) => attributes.rows[1]));
  expect(`${title}: ${MANY} events, each once`, [many.sent, all.length, rows.size], [MANY, MANY, MANY]);
  const left = await run(node, { ...job, scenario: 'leave', events: 3, urls });
  expect(`${title}: a process that ends delivers`, [recordsAt(job.format, '/ok').length, left.livedOnMs < 5000], [3, true]);
}

/** What becomes of two events, and that `close()` keeps its deadline. An exporter has 1.5 s. */
const FAULTS = [
  { name: 'refused', url: refused, reasons: { connect: 2 } },
  { name: 'silent', url: `${base}/silent`, reasons: { timeout: 2 } },
  { name: 'stalled', url: stalled, reasons: { timeout: 2 } },
  { name: 'reset', url: `${base}/reset`, reasons: { network: 2 } },
  { name: '500', url: `${base}/500`, reasons: { http_500: 2 } },
  { name: '503', url: `${base}/503`, reasons: { unavailable: 2 } },
  { name: '429 (full)', url: `${base}/429`, reasons: { unavailable: 2 } },
  { name: '413', url: `${base}/413`, reasons: { http_413: 2 } },
  // OpenTelemetry's exporters say nothing of it: see docs/otel.md.
  { name: 'partial success', url: `${base}/partial`, reasons: {} },
];
/** Of a call of gRPC a status comes, and not whether it was counted. */
const GRPC_FAULTS = [
  { name: 'refused', url: grpc.urls.refused, reasons: { connect: 2 } },
  { name: 'silent', url: grpc.urls.silent, reasons: { grpc_4: 2 } },
  { name: 'stalled', url: grpc.urls.stalled, reasons: { grpc_4: 2 } },
  { name: 'reset', url: grpc.urls.reset, reasons: { grpc_14: 2 } },
  { name: 'UNAVAILABLE', url: grpc.urls.unavailable, reasons: { grpc_14: 2 } },
  { name: 'RESOURCE_EXHAUSTED (full)', url: grpc.urls.exhausted, reasons: { grpc_8: 2 } },
  { name: 'INVALID_ARGUMENT', url: grpc.urls.invalid, reasons: { grpc_3: 2 } },
  { name: 'UNAUTHENTICATED', url: grpc.urls.unauthenticated, reasons: { grpc_16: 2 } },
  { name: 'partial success', url: grpc.urls.partial, reasons: {} },
];

async function faults(node, job, title) {
  const { requests } = receivers[job.format];
  const { all, silent } =
    job.format === 'grpc' ? { all: GRPC_FAULTS, silent: grpc.urls.silent } : { all: FAULTS, silent: `${base}/silent` };
  for (const { name, url, reasons } of all) {
    const report = await run(node, { ...job, scenario: 'fault', urls: { fault: url } });
    const expected = Object.keys(reasons).length === 0 ? [2, 0] : [0, 2];
    expect(`${title}: ${name}: sent, failed, reasons`, [report.sent, report.failed, report.reasons], [...expected, reasons]);
    expect(`${title}: ${name}: accounts, and the deadline of 300 ms`, [isBalanced(report), report.lateMs <= 50], [true, true]);
    console.log(`       closed in ${report.closeMs} ms, the process lived on for ${report.livedOnMs} ms, ${requests.length} requests`);
  }
  const outage = await run(node, { ...job, scenario: 'outage', urls: { fault: all[0].url } });
  expect(`${title}: an outage loses nothing`, [outage.pending, outage.failed, outage.dropped], [2, 0, 0]);
  const report = await run(node, { ...job, scenario: 'shutdown', urls: { fault: silent } });
  expect(
    `${title}: a shutdown that hangs`,
    [report.timedOut, isBalanced(report), report.failed, report.lateMs <= 50],
    [true, true, 2, true],
  );
  console.log(`       closed in ${report.closeMs} ms, the process lived on for ${report.livedOnMs} ms`);
}

/** The program of docs/otel.md, as it stands there but for where things are. */
async function page(node, folder, title) {
  const [, text = ''] = /```js\n([\s\S]*?)```/.exec(readFileSync(join(HERE, '../docs/otel.md'), 'utf8')) ?? [];
  const file = join(folder, 'node_modules', 'page.mjs');
  const program = text
    .replace('https://otel.acme.example', `${base}/ok`)
    .replaceAll(/'cosmos-telemetry(\/\w+)?'/g, (_, entry = '') => `'${join(HERE, '../dist', entry, 'index.js')}'`);
  writeFileSync(file, program);
  http.requests.length = 0;
  const child = spawn(node, ['--no-warnings', file], { stdio: 'inherit', env: {}, cwd: tmpdir(), timeout: 30_000 });
  const [code] = await once(child, 'close');
  const names = recordsAt('http', '/ok').map(({ eventName }) => eventName);
  expect(`${title}: the program of docs/otel.md`, [code, names], [0, ['acme.dag_run', 'acme.task_instance']]);
}

function types(folder, title) {
  const work = mkdtempSync(join(tmpdir(), 'otel-types-'));
  symlinkSync(join(folder, 'node_modules'), join(work, 'node_modules'));
  symlinkSync(join(HERE, 'otel/types.ts'), join(work, 'types.ts'));
  const options = {
    compilerOptions: {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      preserveSymlinks: true,
      skipLibCheck: true,
      target: 'es2023',
      lib: ['es2023', 'dom'],
      module: 'node20',
      types: [],
      paths: { 'cosmos-telemetry/otel': [join(HERE, '../dist/otel/index.d.ts')] },
    },
    files: ['types.ts'],
  };
  writeFileSync(join(work, 'package.json'), '{"type":"module"}');
  writeFileSync(join(work, 'tsconfig.json'), JSON.stringify(options));
  const { status, stdout } = spawnSync(process.execPath, [join(HERE, '../node_modules/typescript/bin/tsc'), '-p', work], {
    encoding: 'utf8',
  });
  rmSync(work, { recursive: true });
  expect(`${title}: the types fit`, [status, stdout], [0, '']);
}

try {
  for (const { name, folder, alias } of SDKS) {
    // Each needs a version of the API that the other refuses.
    const installed = spawnSync('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const node = join(folder, 'node_modules', alias, 'bin/node');
    if (installed.status !== 0) failures.push(`${name}: npm ci`);
    if (!existsSync(node)) {
      console.log(`left out: ${name}, since there is no ${alias} for this machine`);
      continue;
    }
    types(folder, name);
    await page(node, folder, name);
    const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
    for (const format of ['http', 'proto', 'grpc']) {
      const title = `${name}, ${{ http: 'JSON', proto: 'protobuf', grpc: 'gRPC' }[format]}`;
      const job = { folder, format, version };
      const urls = format === 'grpc' ? grpc.urls : { ok: `${base}/ok`, refused, silent: `${base}/silent` };
      await deliver(node, job, urls, title);
      const { rules, failed } = await run(node, { ...job, scenario: 'contract', urls });
      expect(`${title}: the contract of transports`, [rules > 10, failed], [true, []]);
      await faults(node, job, title);
    }
    const { sent, seen } = await run(node, { folder, format: 'http', scenario: 'traces', urls: {} });
    expect(`${name}: no export is traced`, { sent, seen }, { sent: 1, seen: [false, true, true] });
  }
} finally {
  http.close();
  grpc.close();
}
for (const failure of failures) console.log(`FAILED: ${failure}`);
process.exit(failures.length === 0 ? 0 : 1);

// Every way to opt out, and how to find out which one decided. Any no wins over any yes; a value that is not understood is a no.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { configFilePath, createTelemetry, explainSettings, resolveSettings } from 'cosmos-telemetry';
import { recordingTransport } from 'cosmos-telemetry/testing';

// Airflow's configuration applies to product cosmos. It is opened only if no other rule decides.
const folder = mkdtempSync(path.join(tmpdir(), 'opt-out-'));
writeFileSync(path.join(folder, 'airflow.cfg'), '[core]\nload_examples = False\n\n[cosmos]\nenable_telemetry = False\n');

// A person's own decision, in the platform's usual place. A policy file for the whole machine has the same format.
const person = { HOME: folder, APPDATA: folder };
const file = configFilePath('acme', person) ?? '';
mkdirSync(path.dirname(file), { recursive: true });
writeFileSync(file, '{"enabled": false}\n');

const ways: [way: string, question: Parameters<typeof resolveSettings>[0]][] = [
  ['nothing is set', { product: 'acme', env: {} }],
  ['DO_NOT_TRACK=1', { product: 'acme', env: { DO_NOT_TRACK: '1' } }],
  ['DO_NOT_TRACK=0', { product: 'acme', env: { DO_NOT_TRACK: '0' } }],
  ['SCARF_NO_ANALYTICS=true', { product: 'acme', env: { SCARF_NO_ANALYTICS: 'true' } }],
  ['ACME_TELEMETRY=off', { product: 'acme', env: { ACME_TELEMETRY: 'off' } }],
  ['ACME_TELEMETRY=maybe', { product: 'acme', env: { ACME_TELEMETRY: 'maybe' } }],
  ['ACME_TELEMETRY=on, DO_NOT_TRACK=1', { product: 'acme', env: { ACME_TELEMETRY: 'on', DO_NOT_TRACK: '1' } }],
  ['enabled: false', { product: 'acme', env: { ACME_TELEMETRY: 'on' }, enabled: false }],
  ["the person's own telemetry.json", { product: 'acme', env: { ...person, ACME_TELEMETRY: 'on' } }],
  ["consent: 'opt-in'", { product: 'acme', env: {}, consent: 'opt-in' }],
  ["consent: 'opt-in', ACME_TELEMETRY=on", { product: 'acme', env: { ACME_TELEMETRY: 'on' }, consent: 'opt-in' }],
  ['AIRFLOW__COSMOS__ENABLE_TELEMETRY=False', { product: 'cosmos', env: { AIRFLOW__COSMOS__ENABLE_TELEMETRY: 'False' } }],
  ['[cosmos] enable_telemetry in airflow.cfg', { product: 'cosmos', env: { AIRFLOW_HOME: folder } }],
];

for (const [way, question] of ways) {
  const { enabled, rules } = explainSettings(resolveSettings(question));
  const [deciding] = rules;
  const { kind, path: where, line } = deciding?.source ?? {};
  const place = where === undefined ? kind : `${path.basename(where)}, line ${line}`;
  console.log(`${way.padEnd(42)}${enabled ? 'on ' : 'off'}  ${deciding?.name} = ${deciding?.value} (${place})`);
}
rmSync(folder, { recursive: true });

// An opt-out also works while the program runs: waiting events are dropped, and telemetry stays off.
const env: NodeJS.ProcessEnv = {};
const transport = recordingTransport();
const telemetry = createTelemetry({ product: { name: 'acme', version: '3.1.0' }, transport, env });
telemetry.publish('dag_run', { status: 'success', task_count: 3, acme_task_count: 2 });
env['DO_NOT_TRACK'] = '1';
console.log(`enabled: ${telemetry.enabled}`);
const { reasons } = await telemetry.close();
console.log(`dropped: ${JSON.stringify(reasons)}, handed to the transport: ${transport.events.length}`);

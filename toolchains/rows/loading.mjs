// Runtimes: both module systems, all entry points, and both at once.
import { BUN, DELIVER, DENO, expect, nodeOf, NODES } from '../project.mjs';

const ENTRIES = {
  'cosmos-telemetry': 'createTelemetry',
  'cosmos-telemetry/cli': 'createTelemetryCli',
  'cosmos-telemetry/relay': 'createRelay',
  'cosmos-telemetry/testing': 'startCollector',
  'cosmos-telemetry/bullmq': 'bullmqMap',
  'cosmos-telemetry/ndjson': 'ndjsonLine',
};

const checks = Object.values(ENTRIES)
  .map((name) => `if (typeof ${name} !== 'function') throw new Error('no ${name}');`)
  .join('\n');
const close = `const report = await telemetry.close();
if (report.sent !== 3) throw new Error(JSON.stringify(report));
`;
const imports = Object.entries(ENTRIES).map(([entry, name]) => `import { ${name} } from '${entry}';`);
const requires = Object.entries(ENTRIES).map(([entry, name]) => `const { ${name} } = require('${entry}');`);

const PROGRAMS = {
  import: ['program.mjs', `${imports.join('\n')}\n${checks}\n${DELIVER}\n${close}`],
  require: ['program.cjs', `${requires.join('\n')}\n${checks}\n(async () => {${DELIVER}\n${close}})();`],
  'both in one process': [
    'program.mjs',
    `import { createRequire } from 'node:module';
import { createTelemetry as imported } from 'cosmos-telemetry';
const { createTelemetry: required } = createRequire(import.meta.url)('cosmos-telemetry');
if (imported === required) throw new Error('one copy');
for (const createTelemetry of [imported, required]) {
${DELIVER}
${close}
}
// Each copy ends by itself, with one listener.
for (const createTelemetry of [imported, required]) {
${DELIVER}
}
if (process.listenerCount('beforeExit') > 2) throw new Error(String(process.listenerCount('beforeExit')));
`,
  ],
};

function row(tool, command, args, way) {
  const [file, text] = PROGRAMS[way];
  const expected = way === 'both in one process' ? 12 : 3;
  return {
    tool,
    what: way,
    async check(workshop) {
      const project = workshop.project({ [file]: text });
      await project.must(command, [...args, file]);
      expect(project.requests() === expected, `${project.requests()} of ${expected} requests`);
    },
  };
}

const ways = Object.keys(PROGRAMS);
export const part = 'Runtimes';
export const rows = [
  ...NODES.flatMap(([version, alias]) => ways.map((way) => row(`Node ${version}`, nodeOf(alias), [], way))),
  ...ways.map((way) => row('Bun 1.4', BUN, ['run'], way)),
  ...ways.map((way) =>
    row('Deno 2.9', DENO, ['run', '--node-modules-dir=manual', '--allow-env', '--allow-net', '--allow-read', '--allow-sys'], way),
  ),
];

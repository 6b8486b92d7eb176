// Test runners. Each runs a test that closes its client, and one whose client is forgotten: what it published within milliseconds of the
// end must not change the exit code, whatever the runner has torn down by then.
import { BUN, DELIVER, expect, NEWEST, nodeOf, tool } from '../project.mjs';

const closes = `const report = await telemetry.close();
if (report.sent !== 3) throw new Error(JSON.stringify(report));
`;
const REQUIRE = "const { createTelemetry } = require('cosmos-telemetry');";
const IMPORT = "import { createTelemetry } from 'cosmos-telemetry';";
const body = (title) => `${title}('closes', async () => {${DELIVER}${closes}});
${title}('forgets', () => {${DELIVER}});
`;
/** A file that only forgets: nothing was loaded before its world is torn down. */
const forgets = (title) => `${title}('forgets', () => {${DELIVER}});\n`;

function pair(start, title, extension) {
  return { [`closes.test.${extension}`]: `${start}\n${body(title)}`, [`forgets.test.${extension}`]: `${start}\n${forgets(title)}` };
}

function row(name, { files, tools, command = NEWEST, args, env }) {
  return {
    tool: name,
    what: 'two test files, one of which forgets to close',
    async check(workshop) {
      const project = workshop.project(files, tools);
      const { code, output } = await project.run(command, args, env);
      expect(code === 0, `exit code ${code}:\n${output.slice(-4000)}`);
      expect(!/torn down|unhandled/i.test(output), output.slice(-4000));
      expect(project.requests() >= 3, `${project.requests()} requests`);
    },
  };
}

const JEST = [tool('jest', 'bin/jest.js'), '--no-cache', '--no-watchman'];
const config = (options) => JSON.stringify({ private: true, jest: { testEnvironment: 'node', ...options } });

const jest = (name, options, files, more = {}) =>
  row(name, { files: { 'package.json': config(options), ...files }, tools: more.tools ?? [], args: JEST, env: more.env });

const vitest = (pool) =>
  row(`Vitest 5, pool ${pool}`, {
    files: {
      'package.json': '{ "private": true, "type": "module" }',
      'vitest.config.js': `export default { test: { pool: '${pool}', globals: true, watch: false } };`,
      ...pair(IMPORT, 'test', 'js'),
    },
    tools: ['vitest', 'vite'],
    args: [tool('vitest', 'vitest.mjs'), 'run'],
  });

export const part = 'Test runners';
export const rows = [
  jest('Jest 30', { transform: {} }, pair(REQUIRE, 'test', 'js')),
  jest('Jest 30, jsdom', { transform: {}, testEnvironment: tool('jest-environment-jsdom', '') }, pair(REQUIRE, 'test', 'js')),
  jest(
    'Jest 30, babel-jest',
    { transform: { '\\.js$': tool('babel-jest', '') } },
    {
      'babel.config.json': JSON.stringify({ presets: [[tool('@babel/preset-env', ''), { targets: { node: 'current' } }]] }),
      ...pair(IMPORT, 'test', 'js'),
    },
  ),
  jest(
    'Jest 30, ts-jest',
    { transform: { '\\.ts$': [tool('ts-jest', ''), { tsconfig: 'tsconfig.json' }] } },
    {
      'tsconfig.json': JSON.stringify({
        compilerOptions: { strict: true, module: 'node16', isolatedModules: true, target: 'es2022', skipLibCheck: false, types: [] },
      }),
      'globals.d.ts':
        'declare function test(name: string, run: () => unknown): void;\ndeclare const process: { env: Record<string, string> };\n',
      'closes.test.ts': `${IMPORT}\n${body('test')}`.replaceAll('process.env.ENDPOINT', "process.env['ENDPOINT'] ?? ''"),
      'forgets.test.ts': `${IMPORT}\n${forgets('test')}`.replaceAll('process.env.ENDPOINT', "process.env['ENDPOINT'] ?? ''"),
    },
    { tools: ['typescript'] },
  ),
  jest('Jest 30, ES modules', { transform: {}, testMatch: ['**/*.test.mjs'] }, pair(IMPORT, 'test', 'mjs'), {
    env: { NODE_OPTIONS: '--experimental-vm-modules --no-warnings' },
  }),
  ...['forks', 'threads', 'vmThreads'].map(vitest),
  row('Mocha 11', { files: pair(IMPORT, 'it', 'mjs'), args: [tool('mocha', 'bin/mocha.js'), 'closes.test.mjs', 'forgets.test.mjs'] }),
  row('node:test of Node 20', {
    files: pair(`import test from 'node:test';\n${IMPORT}`, 'test', 'mjs'),
    command: nodeOf('node-20'),
    args: ['--test'],
  }),
  row('node:test of Node 26', { files: pair(`import test from 'node:test';\n${IMPORT}`, 'test', 'mjs'), args: ['--test'] }),
  row('`bun test` of Bun 1.4', { files: pair(`import { test } from 'bun:test';\n${IMPORT}`, 'test', 'js'), command: BUN, args: ['test'] }),
];

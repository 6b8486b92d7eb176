// Bundlers: one program that uses all four entry points is built without a warning, and runs in a folder without node_modules.
import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUN, DELIVER, expect, must, NEWEST, tool } from '../project.mjs';

const PROGRAM = `import { get } from 'node:http';
import { createTelemetry } from 'cosmos-telemetry';
import { createTelemetryCli } from 'cosmos-telemetry/cli';
import { createRelay } from 'cosmos-telemetry/relay';
import { startCollector } from 'cosmos-telemetry/testing';
async function main() {
${DELIVER}
const report = await telemetry.close();
if (report.sent !== 3) throw new Error(JSON.stringify(report));
await createTelemetryCli({ product: { name: 'acme' } }).run(['--version']);
const collector = await startCollector();
const relay = createRelay({ listen: '127.0.0.1:0', forward: collector.endpoint, env: {} });
const { port } = await relay.listen();
const statusOf = (path) =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: false }, (answer) => resolve(answer.resume().statusCode)).on('error', reject);
  });
console.log(JSON.stringify({ ready: await statusOf('/readyz'), metrics: await statusOf('/metrics') }));
await relay.close();
await collector.close();
}
main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
`;

/** Builds the program into the folder `out`, and runs it in a place without node_modules. */
function row(name, { files = {}, tools = [], command = NEWEST, args, out }) {
  return {
    tool: name,
    what: 'all four entry points are built without a warning and run without node_modules',
    async check(workshop) {
      const project = workshop.project({ 'program.mjs': PROGRAM, ...files }, tools);
      const { output } = await project.must(command, args);
      expect(!/warn|could not resolve|can't resolve|critical dependency|unresolved/i.test(output), `it warns:\n${output.slice(-4000)}`);
      const elsewhere = mkdtempSync(join(workshop.empty, 'bundled-'));
      cpSync(join(project.folder, out), elsewhere, { recursive: true });
      const file = readdirSync(elsewhere).find((each) => /^program\.[cm]?js$/.test(each));
      // Of another build, or planted: it is not run.
      for (const place of [elsewhere, workshop.empty])
        writeFileSync(join(place, 'cosmos-telemetry-late.cjs'), "console.log('it was run');");
      const { stdout } = await must(NEWEST, [file], { cwd: elsewhere, env: project.env });
      expect(!stdout.includes('it was run'), stdout);
      expect(/^cosmos-telemetry \d+\.\d+\.\d+$/m.test(stdout), `no version: ${stdout}`);
      expect(stdout.includes('{"ready":200,"metrics":501}'), stdout);
      expect(project.requests() === 3, `${project.requests()} of 3 requests`);
    },
  };
}

const esbuild = (format) =>
  row(`esbuild 0.28, ${format}`, {
    args: [
      tool('esbuild', 'bin/esbuild'),
      'program.mjs',
      '--bundle',
      '--platform=node',
      `--format=${format}`,
      `--outfile=out/program.${format === 'esm' ? 'mjs' : 'cjs'}`,
    ],
    out: 'out',
  });

const PLUGINS = `import commonjs from ${JSON.stringify(tool('@rollup/plugin-commonjs', 'dist/es/index.js'))};
import json from ${JSON.stringify(tool('@rollup/plugin-json', 'dist/es/index.js'))};
import resolve from ${JSON.stringify(tool('@rollup/plugin-node-resolve', 'dist/es/index.js'))};
`;

const NEXT_ROUTE = `import { createTelemetry } from 'cosmos-telemetry';
export const dynamic = 'force-dynamic';
export async function GET() {
${DELIVER}
  return Response.json(await telemetry.close());
}
`;

/** Installed for each row: Turbopack follows no link out of the project. */
const NEXT = ['next', 'react', 'react-dom'];
const { dependencies } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'));
const NEXT_BIN = 'node_modules/next/dist/bin/next';

/** Starts the built server at a free port, and prints what its route answers. */
const CALLER = `import { spawn } from 'node:child_process';
const options = ['start', '--port', '0', '--hostname', '127.0.0.1'];
const server = spawn(process.execPath, ['${NEXT_BIN}', ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
let said = '';
for await (const chunk of server.stdout) {
  said += chunk;
  const [url] = /http:\\/\\/127\\.0\\.0\\.1:[1-9]\\d*/.exec(said) ?? [];
  if (url === undefined || !/Ready/.test(said)) continue;
  console.log(await (await fetch(url + '/send')).text());
  server.kill();
  break;
}
process.exit();
`;

function next(name, options) {
  return {
    tool: name,
    what: 'a route is built without a warning of this package, and delivers',
    async check(workshop) {
      const project = workshop.project(
        {
          'package.json': '{ "private": true, "type": "module" }',
          'app/send/route.js': NEXT_ROUTE,
          'app/layout.js': 'export default ({ children }) => children;\n',
        },
        undefined,
      );
      const packages = NEXT.map((each) => `${each}@${dependencies[each]}`);
      await project.must('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', workshop.tarball, ...packages]);
      const env = { NEXT_TELEMETRY_DISABLED: '1' };
      const { output } = await project.must(NEWEST, [NEXT_BIN, 'build', ...options], env);
      expect(!/cosmos-telemetry|can't resolve|critical dependency/i.test(output), output.slice(-4000));
      const { stdout } = await project.must(NEWEST, ['--input-type=module', '--eval', CALLER], env);
      expect(JSON.parse(stdout.trim()).sent === 3, stdout);
      expect(project.requests() === 3, `${project.requests()} of 3 requests`);
    },
  };
}

export const part = 'Bundlers';
export const rows = [
  esbuild('esm'),
  esbuild('cjs'),
  row('webpack 5', {
    files: {
      'webpack.config.cjs': `module.exports = { mode: 'production', target: 'node', entry: './program.mjs', output: { filename: 'program.cjs' }, stats: 'errors-warnings' };`,
    },
    args: [tool('webpack', 'bin/webpack.js'), '--config', 'webpack.config.cjs'],
    out: 'dist',
  }),
  row('Rollup 4', {
    files: {
      'rollup.config.mjs': `${PLUGINS}export default { input: 'program.mjs', output: { dir: 'out', format: 'es', entryFileNames: '[name].mjs', chunkFileNames: '[name]-[hash].mjs' }, plugins: [resolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json()] };`,
    },
    args: [tool('rollup', 'dist/bin/rollup'), '--config', 'rollup.config.mjs', '--silent=false'],
    out: 'out',
  }),
  row('Rolldown 1', {
    args: [
      tool('rolldown', 'bin/cli.mjs'),
      'program.mjs',
      '--dir',
      'out',
      '--platform',
      'node',
      '--format',
      'esm',
      '--entryFileNames',
      '[name].mjs',
    ],
    out: 'out',
  }),
  row('Vite 8, a build for servers', {
    files: {
      'vite.config.mjs': `export default { build: { ssr: 'program.mjs', rollupOptions: { output: { entryFileNames: '[name].mjs' } } }, ssr: { noExternal: true, target: 'node' }, logLevel: 'info' };`,
    },
    tools: ['vite'],
    args: [tool('vite', 'bin/vite.js'), 'build'],
    out: 'dist',
  }),
  row('Bun 1.4, `bun build`', {
    command: BUN,
    args: ['build', 'program.mjs', '--target=node', '--outdir=out'],
    out: 'out',
  }),
  next('Next 16, Turbopack', []),
  next('Next 16, webpack', ['--webpack']),
];

// Checks the package as a user gets it: packs it, installs it into an empty project, imports and requires it, and compiles against it.
import { execFileSync, execSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { mistakes } from './check-exports.mjs';
import { checkTypes } from './check-types.mjs';

const project = mkdtempSync(path.join(tmpdir(), 'package-'));
const folders = [project];
const MAX_MAIN_KILOBYTES = 210;
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
const run = (command, ...args) => execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/** A program with a polluted `Object.prototype` loads the package and delivers: the helpers of the bundles are part of it, too. */
const POLLUTED = `Object.prototype.polluted = 1;
const load = async (telemetry) => {
  const transport = { send: async () => ({ kind: 'sent' }) };
  const client = telemetry.createTelemetry({ product: { name: 'acme', version: '1.0.0' }, transport, env: {} });
  client.reportRun({ status: 'success', tasks: [{ owned: true, status: 'success' }] });
  const { sent } = await client.close();
  if (sent !== 2) throw new Error('polluted: ' + sent + ' of 2 events were sent');
};
load(require('cosmos-telemetry')).then(async () => load(await import('cosmos-telemetry')));
`;

/** Does what the Dockerfile of the relay does, in a folder instead of an image, and starts its entry point. */
function installAsImage(tarball) {
  const dockerfile = readFileSync(new URL('../examples/relay/Dockerfile', import.meta.url), 'utf8').replaceAll('\\\n', ' ');
  const [, install] = /^RUN (npm install .+?) +&& /m.exec(dockerfile);
  const [, entry] = /^ENTRYPOINT \["(.+)"\]$/m.exec(dockerfile);
  // Not inside the project: npm would install into the folder with the nearest package.json.
  const image = mkdtempSync(path.join(tmpdir(), 'image-'));
  folders.push(image);
  copyFileSync(path.join(project, tarball), path.join(image, tarball));
  const shown = execSync(`${install} && ${entry.replace('/app/', './')} relay --help`, { cwd: image, encoding: 'utf8' });
  if (!shown.includes('--spool')) throw new Error(`The image of the relay does not start: ${shown}`);
  // 192.0.2.1 belongs to no machine: the relay ends once it has loaded the client of NATS, which the image must have.
  const args = ['relay', '--listen=192.0.2.1:8787', '--allow-remote', '--jetstream=nats://127.0.0.1:9'];
  const { stderr } = spawnSync(process.execPath, [path.join(image, entry.replace('/app/', '')), ...args], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  if (!stderr.includes('the address does not belong to this machine')) throw new Error(`The image has no queue: ${stderr}`);
}

try {
  const [{ filename, files }] = JSON.parse(
    execFileSync(npm, ['pack', '--json', '--pack-destination', project], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const strays = files
    .map(({ path: file }) => file)
    .filter((file) => !/^(dist|src)\/|^(package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md|PRIVACY\.md)$/.test(file));
  if (strays.length > 0) throw new Error(`The package contains unexpected files: ${strays.join(', ')}`);
  writeFileSync(path.join(project, 'package.json'), '{ "name": "consumer", "private": true }');
  run(npm, 'install', '--no-audit', '--no-fund', `./${filename}`);
  const use = "if (typeof telemetry.createTelemetry !== 'function') throw new Error('no createTelemetry');";
  writeFileSync(path.join(project, 'import.mjs'), `import * as telemetry from 'cosmos-telemetry';\n${use}\n`);
  writeFileSync(path.join(project, 'require.cjs'), `const telemetry = require('cosmos-telemetry');\n${use}\n`);
  writeFileSync(path.join(project, 'polluted.cjs'), POLLUTED);
  for (const file of ['import.mjs', 'require.cjs', 'polluted.cjs']) run(process.execPath, file);
  const said = run(npm, 'exec', '--offline', '--', 'cosmos-telemetry', '--version');
  if (!/^cosmos-telemetry \d+\.\d+\.\d+\n$/.test(said)) throw new Error(`The command prints an unexpected version: ${said}`);
  writeFileSync(
    path.join(project, 'cli.mjs'),
    `import { createTelemetryCli } from 'cosmos-telemetry/cli';
process.exitCode = await createTelemetryCli({ product: { name: 'acme' } }).run(['--version']);
`,
  );
  if (run(process.execPath, 'cli.mjs') !== said) throw new Error("A product's command does not print the version of the package");
  // Node prints the source line of an uncaught error, so lines must be short.
  const bundle = readFileSync(path.join(project, 'node_modules/cosmos-telemetry/dist/index.js'), 'utf8');
  const longest = Math.max(...bundle.split('\n').map((line) => line.length));
  if (longest > 1000) throw new Error(`dist/index.js has a line of ${longest} characters`);
  // A host parses all of it at its start, whether it sends or not. Load what is seldom needed late: see src/delivery/late.ts.
  const kilobytes = Math.ceil(Buffer.byteLength(bundle) / 1000);
  if (kilobytes > MAX_MAIN_KILOBYTES) throw new Error(`dist/index.js has ${kilobytes} KB: more than ${MAX_MAIN_KILOBYTES}`);
  // Without prom-client the relay works but answers 501 for its metrics. The hook hides packages of the parent folders.
  const home = pathToFileURL(realpathSync(project)).href;
  const hooks = `export async function resolve(name, context, next) {
  const found = await next(name, context);
  if (found.url.startsWith('file:') && !found.url.startsWith('${home}/')) throw new Error(name + ' is not in the project');
  return found;
}`;
  writeFileSync(
    path.join(project, 'alone.mjs'),
    `import { register } from 'node:module';\nregister('data:text/javascript,${encodeURIComponent(hooks).replaceAll("'", '%27')}');\n`,
  );
  writeFileSync(
    path.join(project, 'relay.mjs'),
    `import { get } from 'node:http';
import { createRelay } from 'cosmos-telemetry/relay';
const relay = createRelay({ listen: '127.0.0.1:0', forward: 'http://127.0.0.1:9', env: {} });
const { port } = await relay.listen();
const status = await new Promise((resolve, reject) => {
  get({ host: '127.0.0.1', port, path: '/metrics', agent: false }, (response) => resolve(response.resume().statusCode)).on('error', reject);
});
await relay.close();
console.log(status);
`,
  );
  const answered = run(process.execPath, '--import', './alone.mjs', 'relay.mjs');
  if (answered !== '501\n') throw new Error(`Without prom-client /metrics must answer 501, got ${answered}`);
  installAsImage(filename);
  const found = mistakes(path.join(project, 'node_modules/cosmos-telemetry'));
  if (found.length > 0) throw new Error(found.join('\n'));
  const typescript = await checkTypes({ folder: path.join(project, 'node_modules/cosmos-telemetry') });
  console.log(`${filename}: ${files.length} files; import, require, the command and the relay work on Node ${process.versions.node}`);
  console.log(`Its declarations compile with TypeScript ${typescript}, with and without @types/node`);
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}

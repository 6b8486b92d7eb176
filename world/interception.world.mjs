// nock and msw in a host's tests: they replace the class of requests or the sockets below it, and must still intercept our requests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** nock 15 and msw 3 need Node 22. */
const LIBRARIES = [
  { name: 'nock 14', library: 'nock-14', on: ['20', '24', '26'] },
  { name: 'nock 15', library: 'nock', on: ['24', '26'] },
  { name: 'msw 2', library: 'msw-2', on: ['20', '24', '26'] },
  { name: 'msw 3', library: 'msw', on: ['24', '26'] },
];

let failed = 0;
for (const { name, library, on } of LIBRARIES) {
  for (const version of on) {
    const node = here(`node_modules/node-${version}/bin/node`);
    if (!existsSync(node)) {
      console.log(`(left out: ${name} on Node ${version}, whose binary is for Linux on x64)`);
      continue;
    }
    const said = await run(node, library);
    const { sent, intercepted } = said.startsWith('{') ? JSON.parse(said) : {};
    const holds = sent === 1 && intercepted === 1;
    console.log(`${holds ? 'ok    ' : 'FAILED'} ${name}, Node ${version}: intercepts ${intercepted} of 1 events; ${said}`);
    if (!holds) failed += 1;
  }
}
process.exitCode = failed === 0 ? 0 : 1;

/** What the host printed at its end. */
async function run(node, library) {
  const child = spawn(node, [here('interception/host.mjs'), library], {
    cwd: here('.'),
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const limit = setTimeout(() => child.kill('SIGKILL'), 30_000);
  let text = '';
  child.stdout.on('data', (chunk) => (text += chunk));
  await once(child, 'close');
  clearTimeout(limit);
  return text.trim();
}

import { spawn } from 'node:child_process';
import test from 'ava';
import { startCollector } from '../../src/testing/index.js';
import { guardedEnv } from './guarded-env.js';

/** Runs a script under the guard, and nothing else. */
async function run(script: string): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: guardedEnv({}),
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 20_000,
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  return { code, stderr };
}

/** What a program might do, each to somebody else: addresses and names that are nobody's (RFC 5737, RFC 2606). */
const STRAYS: Readonly<Record<string, [script: string, who: RegExp]>> = {
  'an address': [`import { connect } from 'node:net'; connect(80, '192.0.2.1').on('error', () => {});`, /192\.0\.2\.1/],
  'an address over IPv6': [
    `import { connect } from 'node:net'; connect({ port: 80, host: '2001:db8::1' }).on('error', () => {});`,
    /2001:db8::1/,
  ],
  'a name': [`import { get } from 'node:http'; get('http://stray.example/').on('error', () => {});`, /stray\.example/],
  'a name with a look-up of its own': [
    `import { connect } from 'node:net'; connect({ port: 80, host: 'stray.example', lookup: (name, options, done) => done(null, [{ address: '192.0.2.7', family: 4 }]) }).on('error', () => {});`,
    /stray\.example at 192\.0\.2\.7/,
  ],
  https: [`import { get } from 'node:https'; get('https://192.0.2.1/').on('error', () => {});`, /192\.0\.2\.1/],
  'an error that is swallowed': [`import { connect } from 'node:net'; try { connect(80, '192.0.2.1'); } catch {}`, /192\.0\.2\.1/],
  UDP: [
    `import { createSocket } from 'node:dgram'; try { createSocket('udp4').send('x', 53, '192.0.2.1'); } catch {}`,
    /192\.0\.2\.1 over UDP/,
  ],
  getaddrinfo: [`import { lookup } from 'node:dns'; try { lookup('stray.example', () => {}); } catch {}`, /stray\.example/],
  'a name server': [
    `import { Resolver } from 'node:dns'; const r = new Resolver(); r.setServers(['192.0.2.53']); try { r.resolve4('stray.example', () => {}); } catch {}`,
    /192\.0\.2\.53/,
  ],
};

for (const [name, [script, who]] of Object.entries(STRAYS)) {
  test(`the guard of the tests stops ${name}`, async (t) => {
    const { code, stderr } = await run(script);
    t.not(code, 0);
    t.regex(stderr, /tests stay on the loopback interface/);
    t.regex(stderr, who);
  });
}

test('the guard of the tests is in this very process, and lets loopback pass', async (t) => {
  const collector = await startCollector();
  t.teardown(() => collector.close());
  const { code, stderr } = await run(
    `import { get } from 'node:http'; get('${collector.url}', (r) => r.resume()); get('http://localhost:${collector.port}', (r) => r.resume());`,
  );
  t.is(stderr, '');
  t.is(code, 0);
  t.is(collector.requests.length, 2);
  t.is((await fetch(collector.url)).status, 200);
  // Ours and not Node's own: the guard stands in its place.
  const { Socket } = await import('node:net');
  t.regex(Socket.prototype.connect.toString(), /isHere/);
});

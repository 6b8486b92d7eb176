// Relays and hosts that share a queue on a real server of NATS: `npm run test:jetstream`. Each `*.suite.mjs` is a process of its own.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { serverVersion } from './server.mjs';

const version = serverVersion();
if (version === undefined) {
  console.log('(skipped: nats-server is not installed; Debian has it: apt-get install nats-server)');
} else {
  console.log(`nats-server ${version}`);
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.suite.mjs'));
  const failed = files.filter((name) => {
    console.log(`\n── ${name}`);
    return spawnSync(process.execPath, [join(import.meta.dirname, name)], { stdio: 'inherit', timeout: 240_000 }).status !== 0;
  });
  console.log(
    `\n${files.length - failed.length} of ${files.length} suites pass${failed.length === 0 ? '' : `; not: ${failed.join(', ')}`}`,
  );
  process.exitCode = failed.length === 0 && files.length > 0 ? 0 : 1;
}

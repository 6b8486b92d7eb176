import { readFileSync } from 'node:fs';
import test from 'ava';
import { parseRelayFlags, RELAY_FLAGS } from '../../src/cli/relay.js';
import { checkRelayOptions } from '../../src/relay/options.js';

function read(path: string): string {
  return readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
}

/** What each example has typed after `relay`. */
const COMMANDS: readonly [file: string, args: string[]][] = [
  [
    'examples/relay/cosmos-relay.service',
    (/ relay (--listen .+)$/m.exec(read('examples/relay/cosmos-relay.service'))?.[1] ?? '').split(' '),
  ],
  [
    'examples/relay/Dockerfile',
    JSON.parse(/^CMD \["relay", (.+)\]$/m.exec(read('examples/relay/Dockerfile'))?.[1]?.replace(/^/, '[').concat(']') ?? '[]') as string[],
  ],
  [
    'examples/relay/docker-compose.yml',
    [...read('examples/relay/docker-compose.yml').matchAll(/^ +- (--\S+)$/gm)].map(([, arg = '']) => arg),
  ],
];

for (const [file, args] of COMMANDS) {
  test(`${file} starts a relay as it is today`, (t) => {
    t.true(args.length > 2);
    const { options } = parseRelayFlags(args, 'cosmos-telemetry');
    const { listen, spool } = checkRelayOptions({ ...options, env: {} });
    t.is(listen.port, 8787);
    t.regex(spool ?? '', /\/spool$/);
  });
}

test('docs/relay.md says every flag with its default, every status, and every metric', (t) => {
  const text = read('docs/relay.md');
  for (const [name] of RELAY_FLAGS) t.true(name === 'help' || text.includes(`\`--${name}`), `--${name}`);
  for (const status of [200, 202, 204, 400, 403, 404, 405, 408, 413, 414, 429, 431, 501, 503])
    t.regex(text, new RegExp(`^\\| ${status} `, 'm'));
  for (const name of [
    'events_accepted_total',
    'events_sent_total',
    'events_failed_total',
    'events_dropped_total',
    'events_maybe_sent_twice_total',
    'send_seconds',
  ])
    t.true(text.includes(`cosmos_relay_${name}`), name);
});

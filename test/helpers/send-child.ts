// A host process that sends events and prints the outcomes as JSON. Argument: a SenderJob as JSON. Started by `runSender`.
import type { LookupAddress } from 'node:dns';
import { fetchTransportWith } from '../../src/delivery/http/fetch-transport.js';
import type { FetchTransportOptions } from '../../src/delivery/http/fetch-transport.js';
import { NameLookup } from '../../src/delivery/http/name-lookup.js';
import { startLimit } from '../../src/delivery/pacing.js';
import { underWay } from '../../src/delivery/under-way.js';
import { nameMachine } from './dns-server.js';
import type { Lookup } from '../../src/delivery/http/name-lookup.js';
import { systemClock } from '../../src/base/clock.js';
import type { SenderJob } from './run-sender.js';
import type { SendOutcome } from '../../src/delivery/transport.js';
import { usageEvent } from './usage-event.js';

const job = JSON.parse(process.argv[2] ?? '{}') as SenderJob;

/** A look-up that answers at once, with the same addresses for every name. */
function answering(...addresses: readonly LookupAddress[]): Lookup {
  return (_name, options, callback) => {
    const [first] = addresses;
    process.nextTick(() => (options.all === true ? callback(null, [...addresses]) : callback(null, first?.address ?? '', first?.family)));
  };
}

function chooseLookup(names: SenderJob['names'] = 'loopback'): Lookup | undefined {
  const v4 = { address: '127.0.0.1', family: 4 };
  if (names === 'own') return undefined;
  if (names === 'silent') return () => {};
  if (names === 'loopback') return answering(v4);
  if (names === 'both-families') return answering({ address: '::1', family: 6 }, v4);
  return new NameLookup({
    timeoutMs: job.options.connectTimeoutMs ?? 10_000,
    clock: systemClock,
    startLimit,
    underWay,
    machine: nameMachine(),
    servers: [names.server],
  }).lookup;
}

const options: FetchTransportOptions = { connectTimeoutMs: 10_000, attemptTimeoutMs: 20_000, ...job.options };
const lookup = chooseLookup(job.names);
const transport = fetchTransportWith(options, {
  ...(lookup && { lookup }),
  ...(job.isStill === true && { clock: { ...systemClock, now: () => 0 } }),
});
const { signal } = new AbortController();

/** Sends an event, again if HTTP could not be loaded on a machine under load, as the dispatcher does. */
async function send(): Promise<SendOutcome> {
  const outcome = await transport.send([usageEvent()], signal);
  return outcome.kind === 'deferred' && outcome.reason === 'load_failed' ? send() : outcome;
}

const sends = job.sends ?? 1;
const waitFor = job.waitFor ?? sends;
/** Holds the process, like a host with other work. */
const held = setInterval(() => {}, 60_000);
const outcomes: unknown[] = [];
for (let index = 0; index < sends; index += 1) {
  const sending = send();
  if (index < waitFor) outcomes.push(await sending);
}
clearInterval(held);
if (job.aliveMs !== undefined) setTimeout(() => {}, job.aliveMs);
process.stdout.write(`${JSON.stringify(outcomes)}\n`);

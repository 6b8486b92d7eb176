import { request } from 'node:http';
import { connect } from 'node:net';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../src/base/clock.js';
import type { MachineAccess } from '../../../src/base/machine.js';
import type { Relay, RelayAddress, RelayReport } from '../../../src/relay/index.js';
import type { RelayOptions } from '../../../src/relay/options.js';
import { createRelayWith } from '../../../src/relay/relay.js';
import type { RelayParts } from '../../../src/relay/wiring.js';
import type { VirtualClock } from '../../helpers/virtual-clock.js';
import { StandInStore } from './stand-in-store.js';

/** A machine without files and with fixed randomness. */
export const machine: MachineAccess = {
  clock: systemClock,
  random: () => 0.5,
  readFile: () => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
  platform: 'linux',
  facts: () => ({ system: 'Linux', machine: 'x86_64', nodeVersion: '20.19.0' }),
};

/** That machine, with a clock that stands still: a rate limit of some events a second allows no more while a test is slow. */
export const stillMachine: MachineAccess = { ...machine, clock: { ...systemClock, now: () => 0 } };

/** A relay that listens on a free port, with a store that the test can inspect. */
export interface Rig {
  relay: Relay;
  address: RelayAddress;
  port: number;
  store: () => StandInStore;
  log: string[];
  get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
}

/** An answer of the relay. */
export interface Answer {
  status: number;
  text: string;
  headers: Record<string, string | string[] | undefined>;
}

/**
 * Starts a relay that closes after the test. Unless `forward` is given, its endpoint refuses connections.
 *
 * @param more.leftBehind Targets that an earlier process left in the store; the first `more.tooOld` of them expire.
 */
export async function startRig(
  t: ExecutionContext,
  options: RelayOptions = {},
  more: Partial<RelayParts> & { leftBehind?: readonly string[]; tooOld?: number } = {},
): Promise<Rig> {
  const log: string[] = [];
  const note = (text: string) => log.push(text);
  let store: StandInStore | undefined;
  const { leftBehind, tooOld = 0, ...parts } = more;
  const relay = createRelayWith(
    { listen: '127.0.0.1:0', forward: 'http://127.0.0.1:9/up', env: {}, logger: { debug: note, info: note, warn: note }, ...options },
    {
      machine,
      openStore: ({ onStored }) => {
        store = new StandInStore(onStored, leftBehind);
        store.tooOld = tooOld;
        return Promise.resolve(store);
      },
      ...parts,
    },
  );
  t.teardown(() => relay.close({ deadlineMs: 0 }));
  const address = await relay.listen();
  const { port } = address;
  return { relay, address, port, store: () => store as StandInStore, log, get: (path, headers) => get(port, path, headers) };
}

/** Closes a relay while its clock moves on. */
export async function closeOf(relay: Relay, clock: VirtualClock, deadlineMs = 0): Promise<RelayReport> {
  let isOver = false;
  const closing = relay.close({ deadlineMs }).finally(() => (isOver = true));
  const isOverNow = (): boolean => isOver;
  while (!isOverNow()) await clock.advance(10);
  return closing;
}

/** One GET over a new connection, as Cosmos sends it. */
export function get(port: number, path: string, headers: Record<string, string> = {}, host = '127.0.0.1'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Sends bytes, and collects the received ones until the connection closes: after `quietMs` of silence at the latest. */
export function exchange(port: number, bytes: string | Uint8Array, quietMs = 2000): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(bytes);
    });
    socket.setEncoding('latin1');
    socket.setTimeout(quietMs, () => {
      socket.destroy();
    });
    socket.on('data', (text: string) => (received += text));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(received);
    });
  });
}

/** The status of each answer in received bytes. */
export function statuses(received: string): number[] {
  return [...received.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status));
}

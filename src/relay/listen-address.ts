import { networkInterfaces } from 'node:os';
import type { Check } from '../check-options.js';
import { bareHost, isLoopback } from '../delivery/http/loopback.js';

/** Where a server listens. */
export interface ListenAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
}

const ADDRESS = /^(?:\[([\da-f:.]+)\]|([\da-z._-]+)):(\d{1,5})$/i;
const MAX_PORT = 65_535;

/** These listen on every interface there is. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** @returns Undefined for what is no `host:port`. An IPv6 address stands in brackets: `[::1]:8787`. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, address, name, digits] = ADDRESS.exec(text) ?? [];
  const host = bareHost(address ?? name ?? '');
  const port = Number(digits);
  return host === '' || !(port <= MAX_PORT) ? undefined : { host, port };
}

/** What an option takes for a place to listen at. */
export const A_LISTEN_ADDRESS: Check = [
  'host:port, as in "127.0.0.1:8787" or "[::1]:0"',
  (value) => typeof value === 'string' && parseListenAddress(value) !== undefined,
];

/** Whether other machines could reach it. */
export function isRemote({ host }: ListenAddress): boolean {
  return !isLoopback(host);
}

/** Whether it stands for every interface of the machine. */
export function isWildcard({ host }: ListenAddress): boolean {
  return WILDCARDS.has(host);
}

/** A host and a port as they stand in a URL. */
export function authority({ host, port }: ListenAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Whether a URL leads to a server that listens there, as far as can be told without asking a name server. Whoever forwards to itself
 * forwards for ever.
 *
 * @param ownAddresses The addresses of this machine.
 */
export function leadsTo(url: string, listening: ListenAddress, ownAddresses: readonly string[] = machineAddresses()): boolean {
  const { protocol, port, hostname } = new URL(url);
  if (Number(port === '' ? (protocol === 'https:' ? 443 : 80) : port) !== listening.port) return false;
  const host = bareHost(hostname);
  if (host === listening.host) return true;
  if (isWildcard(listening)) return isLoopback(host) || WILDCARDS.has(host) || ownAddresses.includes(host);
  const isUsual = (each: string) => each === '127.0.0.1' || each === '::1' || WILDCARDS.has(each) || !/^[\d.:a-f]+$/.test(each);
  return isLoopback(listening.host) && isUsual(listening.host) && (isLoopback(host) || WILDCARDS.has(host)) && isUsual(host);
}

function machineAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));
}

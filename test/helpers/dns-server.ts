import { createSocket } from 'node:dgram';
import type { RemoteInfo } from 'node:dgram';
import { isIP } from 'node:net';
import type { ExecutionContext } from 'ava';
import type { Family, NameMachine } from '../../src/delivery/http/name-files.js';

/** The answer of a name server: addresses (an empty list: no such record), no answer (`silent`), or a response code. */
export type DnsAnswer = readonly string[] | 'silent' | keyof typeof CODES;

/** Response codes (RFC 1035, 4.1.1). `unknown`: the name does not exist. */
const CODES = { unknown: 3, servfail: 2, refused: 5 };

/** A machine whose files hold these texts, with both address families. By default it knows no name and no search domain. */
export function nameMachine({
  hosts = '',
  resolvConf = '',
  nsswitch = '',
  env = {},
  hostname = 'host',
  families = [4, 6],
}: {
  hosts?: string;
  resolvConf?: string;
  nsswitch?: string;
  env?: NodeJS.ProcessEnv;
  hostname?: string;
  families?: readonly Family[];
} = {}): NameMachine {
  return { files: () => ({ hosts, resolvConf, nsswitch }), env, hostname: () => hostname, families: () => families };
}

/** A scripted name server on loopback. */
export interface DnsServer {
  /** For `Resolver.setServers`. */
  readonly address: string;
  /** The questions so far, as `A example.org`. */
  readonly questions: string[];
}

const TYPES: Readonly<Record<number, 'A' | 'AAAA'>> = { 1: 'A', 28: 'AAAA' };

function groups(part: string): number[] {
  return part
    .split(':')
    .filter((group) => group !== '')
    .map((group) => Number.parseInt(group, 16));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const first = groups(head);
  const last = groups(tail);
  const all = [...first, ...Array.from<number>({ length: 8 - first.length - last.length }).fill(0), ...last];
  return Buffer.from(all.flatMap((group) => [Math.floor(group / 256), group % 256]));
}

function readQuestion(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(at + 1), end: at + 5 };
}

function reply(query: Buffer, end: number, type: number, answer: readonly string[] | keyof typeof CODES): Buffer {
  const addresses = typeof answer === 'string' ? [] : answer;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x81_80 | (typeof answer === 'string' ? CODES[answer] : 0), 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt16BE(0, 10);
  const records = addresses.map((address) => {
    const data = addressBytes(address);
    return Buffer.concat([Buffer.from([0xc0, 0x0c, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length]), data]);
  });
  return Buffer.concat([header, query.subarray(12, end), ...records]);
}

/** Starts a name server. It stops at the end of the test. */
export async function startDnsServer(
  t: ExecutionContext,
  answer: (type: 'A' | 'AAAA', name: string) => DnsAnswer | Promise<DnsAnswer>,
): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const questions: string[] = [];
  const respond = async (query: Buffer, peer: RemoteInfo): Promise<void> => {
    const { name, type, end } = readQuestion(query);
    const kind = TYPES[type];
    if (kind === undefined) return;
    questions.push(`${kind} ${name}`);
    const given = await answer(kind, name);
    if (given !== 'silent') socket.send(reply(query, end, type, given), peer.port, peer.address);
  };
  socket.on('message', (query, peer) => void respond(query, peer));
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve);
  });
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        socket.close(resolve);
      }),
  );
  return { address: `127.0.0.1:${socket.address().port}`, questions };
}

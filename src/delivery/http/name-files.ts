/** Reads the hosts file, resolv.conf and nsswitch.conf as glibc reads them. */
import type { LookupAddress } from 'node:dns';
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import type { Environment, Platform } from '../../base/platform-types.js';

/** An address family: IPv4 or IPv6. */
export type Family = 4 | 6;

/** Where an address may come from. */
interface NameSource {
  readonly kind: 'files' | 'dns';
  /** Whether the sources after it are not asked, even if this one knows no address. */
  readonly isLast: boolean;
}

/** How this system finds the addresses of a name. */
export interface NameRules {
  /** In the order in which they are asked. */
  readonly sources: readonly NameSource[];
  /** The text of the hosts file. */
  readonly hosts: string;
  /** The domains that are appended to a short name, in order. An empty one stands for the name as it is. */
  readonly search: readonly string[];
  /** A name with at least this many dots is first tried without a search domain. */
  readonly ndots: number;
  /** Whether a name without a dot is also tried without a search domain. */
  readonly asksTopLevel: boolean;
  /** Whether look-ups take turns with the name servers. */
  readonly rotates: boolean;
  /** The families that name servers are asked for. */
  readonly families: readonly Family[];
}

/** What the rules are read from; tests replace it. */
export interface NameMachine {
  /** The texts of the files, empty where there is none. */
  readonly files: () => { readonly hosts: string; readonly resolvConf: string; readonly nsswitch: string };
  readonly env: Environment;
  readonly hostname: () => string;
  readonly families: () => readonly Family[];
}

/** The largest part of a hosts file that is read. A list of 100,000 blocked hosts has 3.4 MB; reading and searching it takes 7 ms. */
const MAX_HOSTS_BYTES = 4 << 20;

const MAX_CONFIG_BYTES = 1 << 16;

const BOTH_FAMILIES: readonly Family[] = [4, 6];

/**
 * Access to the names of this machine. Windows and macOS keep search domains elsewhere: Windows has none of these files but the hosts
 * file, and macOS keeps in resolv.conf what its first network says.
 */
export function machineNames(platform: Platform, env: Environment): NameMachine {
  const hosts = new TextFile(hostsFilePath(platform, env), MAX_HOSTS_BYTES);
  if (platform === 'win32') {
    const files = () => ({ hosts: hosts.read(), resolvConf: '', nsswitch: '' });
    return { files, env: {}, hostname: () => '', families: () => BOTH_FAMILIES };
  }
  const resolvConf = new TextFile('/etc/resolv.conf', MAX_CONFIG_BYTES);
  const nsswitch = new TextFile('/etc/nsswitch.conf', MAX_CONFIG_BYTES);
  const files = () => ({ hosts: hosts.read(), resolvConf: resolvConf.read(), nsswitch: nsswitch.read() });
  return { files, env, hostname, families: machineFamilies };
}

/** Reads the rules of now. */
export function readNameRules({ files, env, hostname: hostName, families }: NameMachine): NameRules {
  const { hosts, resolvConf, nsswitch } = files();
  const { search, options } = readResolvConf(resolvConf, env);
  return {
    sources: readSources(nsswitch),
    hosts,
    search: search.length > 0 ? search : domainOf(hostName),
    ndots: Math.min(options.get('ndots') ?? 1, MAX_NDOTS),
    asksTopLevel: !options.has('no-tld-query'),
    rotates: options.has('rotate'),
    families: options.has('no-aaaa') ? [4] : families(),
  };
}

/** glibc's RES_MAXNDOTS. */
const MAX_NDOTS = 15;

/** The last of `search` and `domain` counts, and `LOCALDOMAIN` and `RES_OPTIONS` of the environment come before the file. */
export function readResolvConf(text: string, env: Environment): { search: string[]; options: Map<string, number> } {
  let search: string[] = [];
  const options = new Map<string, number>();
  for (const line of text.split('\n')) {
    // A keyword starts its line: glibc knows neither an indented one nor a comment behind one.
    const { 1: keyword, 2: values = '' } = /^(search|domain|options)[ \t]+(.*)/.exec(line) ?? [];
    if (keyword === 'options') readOptions(values, options);
    else if (keyword === 'search') search = words(values);
    else if (keyword === 'domain') search = words(values).slice(0, 1);
  }
  readOptions(env['RES_OPTIONS'] ?? '', options);
  const local = env['LOCALDOMAIN'];
  if (local !== undefined) search = words(local);
  return { search: search.map((domain) => domain.toLowerCase().replace(/^\.|\.$/g, '')), options };
}

function readOptions(text: string, options: Map<string, number>): void {
  for (const word of words(text)) {
    const { 0: name = '', 1: value = '' } = word.split(':');
    options.set(name, Math.max(0, Number.parseInt(value, 10) || 0));
  }
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** Without `search` and `domain`, the domain of the host itself is searched. */
function domainOf(ask: () => string): string[] {
  const hostName = nameOfHost(ask);
  const dot = hostName.indexOf('.');
  return dot === -1 || dot === hostName.length - 1 ? [] : [hostName.slice(dot + 1).toLowerCase()];
}

/** Empty where a sandbox does not tell: then nothing is searched. */
function nameOfHost(ask: () => string): string {
  try {
    return ask();
  } catch {
    return '';
  }
}

const DEFAULT_SOURCES: readonly NameSource[] = [
  { kind: 'files', isLast: false },
  { kind: 'dns', isLast: false },
];

/**
 * The line `hosts:` of nsswitch.conf. Of its sources only the hosts file and DNS can be asked here. `resolve` is systemd-resolved, which is
 * the name server of resolv.conf where it runs.
 */
function readSources(nsswitch: string): readonly NameSource[] {
  const line = [...nsswitch.matchAll(/^[ \t]*hosts:([^#\n]*)/gm)].at(-1)?.[1] ?? '';
  const sources: NameSource[] = [];
  for (const { 1: name = '', 2: action = '' } of line.matchAll(/([^\s[\]]+)\s*((?:\[[^\]]*\]\s*)*)/g)) {
    const kind = name === 'files' ? 'files' : name === 'dns' || name === 'resolve' ? 'dns' : undefined;
    if (kind === undefined || sources.some((source) => source.kind === kind)) continue;
    sources.push({ kind, isLast: name !== 'resolve' && returnsIfNotFound(action) });
  }
  return sources.length > 0 ? sources : DEFAULT_SOURCES;
}

/** Whether actions such as `[NOTFOUND=return]` or `[!UNAVAIL=return]` end the look-up at a name that is not found. */
function returnsIfNotFound(actions: string): boolean {
  const found = [...actions.toLowerCase().matchAll(/(!?)(\w+)=return/g)];
  return found.some(({ 1: not, 2: status }) => (not === '!') !== (status === 'notfound'));
}

/**
 * The names to ask DNS for, in glibc's order: a name with `ndots` dots as it is and then in each search domain, another one the other way
 * round. A final dot says that the name is complete.
 *
 * @param host in lower case
 */
export function candidates(host: string, { search, ndots, asksTopLevel }: NameRules): string[] {
  if (host.endsWith('.')) return [host.slice(0, -1)];
  const dots = host.split('.').length - 1;
  const inDomains = search.map((domain) => (domain === '' ? host : `${host}.${domain}`));
  if (dots >= ndots) return unique([host, ...inDomains]);
  const asItIs = dots > 0 || asksTopLevel || search.length === 0 ? [host] : [];
  return unique([...inDomains, ...asItIs]);
}

/** A name in DNS has at most 253 characters (RFC 1035, 3.1). */
const MAX_NAME_LENGTH = 253;

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].filter((name) => name.length <= MAX_NAME_LENGTH);
}

/** As getaddrinfo with AI_ADDRCONFIG, which Node sets: a host with addresses of one family alone asks for no other. */
function machineFamilies(): readonly Family[] {
  try {
    const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const hasV4 = all.some(({ family, address }) => family === 'IPv4' && address !== '127.0.0.1');
    const hasV6 = all.some(({ family, address }) => family === 'IPv6' && address !== '::1');
    return hasV4 === hasV6 ? BOTH_FAMILIES : [hasV4 ? 4 : 6];
  } catch {
    // Some sandboxes do not tell.
    return BOTH_FAMILIES;
  }
}

/** The path of the hosts file. */
export function hostsFilePath(platform: Platform, env: Environment): string {
  if (platform !== 'win32') return '/etc/hosts';
  return `${env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\drivers\\etc\\hosts`;
}

/**
 * A small file of the system, read again whenever it has changed. It is read without the thread pool of libuv: a host that keeps all four
 * threads busy would hold up each look-up. A small file takes 10 us, and looking whether it has changed 3 us.
 */
export class TextFile {
  readonly #path: string;
  readonly #maxBytes: number;
  #version = '';
  #text = '';

  constructor(path: string, maxBytes: number) {
    this.#path = path;
    this.#maxBytes = maxBytes;
  }

  /** The first `maxBytes` of the file; empty if it is missing or no regular file. A file that cannot be read now keeps its last text. */
  read(): string {
    try {
      const { dev, ino, size, mtimeMs, ctimeMs } = statSync(this.#path);
      const version = [dev, ino, size, mtimeMs, ctimeMs].join(' ');
      if (version === this.#version) return this.#text;
      this.#text = readStart(this.#path, this.#maxBytes);
      this.#version = version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') [this.#text, this.#version] = ['', ''];
    }
    return this.#text;
  }
}

function readStart(path: string, maxBytes: number): string {
  // With O_NONBLOCK, opening a pipe does not wait for its writer. Windows has no such flag.
  const descriptor = openSync(path, constants.O_RDONLY | ((constants as { O_NONBLOCK?: number }).O_NONBLOCK ?? 0));
  try {
    const status = fstatSync(descriptor);
    if (!status.isFile()) return '';
    const bytes = Buffer.alloc(Math.min(status.size, maxBytes));
    return bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The addresses that a hosts file gives a name.
 *
 * @param text the file
 * @param host a bare host name, in lower case
 */
export function findInHosts(text: string, host: string): LookupAddress[] {
  const lower = text.toLowerCase();
  const found: LookupAddress[] = [];
  // Only lines with the name are split: the file may list 100,000 blocked hosts.
  for (let at = lower.indexOf(host), end = 0; at !== -1; at = lower.indexOf(host, end)) {
    const next = lower.indexOf('\n', at);
    end = next === -1 ? lower.length : next;
    const line = lower.slice(lower.lastIndexOf('\n', at) + 1, end);
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (names.includes(host) && isIP(address) !== 0) found.push({ address, family: isIP(address) });
  }
  return found;
}

import { BlockList, isIP } from 'node:net';
import { bareHost, isLoopback } from '../../wire/url.js';

const FAMILIES = { 4: 'ipv4', 6: 'ipv6' } as const;

/** Whether an address lies in a range such as `10.0.0.0/8`; false for anything that is no such range. */
function inRange(host: string, range: string): boolean {
  const [network = '', prefix = ''] = range.split('/');
  const family = isIP(network);
  const hostFamily = isIP(host);
  if ((family !== 4 && family !== 6) || (hostFamily !== 4 && hostFamily !== 6)) return false;
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), FAMILIES[family]);
  return list.check(host, FAMILIES[hostFamily]);
}

/** One entry: `*`, a name with all its subdomains (`.example.org`, `*.example.org` or `example.org`), an address or a range. */
function matches(host: string, port: number, entry: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return inRange(host, entry);
  // An IPv6 address has colons of its own: only one in brackets can have a port.
  const [, name = entry, entryPort] = (isIP(entry) === 0 && /^(.+?)(?::(\d+))?$/.exec(entry)) || [];
  if (entryPort !== undefined && Number(entryPort) !== port) return false;
  const suffix = bareHost(name).replace(/^\*?\./, '');
  return suffix !== '' && (host === suffix || (isIP(host) === 0 && host.endsWith(`.${suffix}`)));
}

/**
 * Whether `NO_PROXY` (or `no_proxy`, which is read first) lists a host. No standard describes it; this is what curl, Python and
 * Go have in common: entries parted by commas or spaces, in any case of letters.
 *
 * @param host a bare host name or address
 * @param port the port that is connected to
 * @param env where the variable is read
 */
export function isExempt(host: string, port: number, env: NodeJS.ProcessEnv): boolean {
  const list = env['no_proxy'] ?? env['NO_PROXY'] ?? '';
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && matches(host, port, entry));
}

/** A proxy to connect to. */
export interface Proxy {
  /** Its address, without credentials: a library may print what it is given. */
  readonly url: URL;
  /** The value of `Proxy-Authorization`, where the proxy's URL held credentials. */
  readonly authorization: string | undefined;
}

/** How a request gets to its host: straight, through a proxy, or not at all since the setting names no usable proxy. */
export type Way = { kind: 'direct' } | { kind: 'proxied'; proxy: Proxy } | { kind: 'invalid'; source: string };

const DIRECT: Way = { kind: 'direct' };

/** The variables for a scheme. An empty one says "none", as for curl and Python, so it hides those after it. */
function setting(scheme: string, env: NodeJS.ProcessEnv): { source: string; value: string } | undefined {
  for (const name of [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`, 'all_proxy', 'ALL_PROXY']) {
    const value = env[name];
    if (value !== undefined) return value.trim() === '' ? undefined : { source: name, value };
  }
  return undefined;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A proxy from its URL; without a scheme it is an HTTP proxy, as for curl. Undefined for socks, PAC and whatever is no URL. */
function parseProxy(value: string): Proxy | undefined {
  const text = value.trim();
  const spelled = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(spelled)) return undefined;
  const url = new URL(spelled);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  const { username, password } = url;
  url.username = '';
  url.password = '';
  if (username === '' && password === '') return { url, authorization: undefined };
  const credentials = Buffer.from(`${decode(username)}:${decode(password)}`).toString('base64');
  return { url, authorization: `Basic ${credentials}` };
}

/**
 * Which way a request takes. Loopback is never proxied, whatever option or variables say: what the proxy calls loopback is
 * another machine.
 *
 * @param target the URL to request
 * @param option the `proxy` option: a URL, `false` for none, undefined for the environment's (`HTTPS_PROXY`, `HTTP_PROXY`, by
 * the target's scheme, else `ALL_PROXY`, unless `NO_PROXY` exempts the host; each in lower case first)
 * @param env where the variables are read
 */
export function chooseWay(target: URL, option: string | false | undefined, env: NodeJS.ProcessEnv): Way {
  const host = bareHost(target.hostname);
  if (option === false || isLoopback(host)) return DIRECT;
  const chosen = option === undefined ? setting(target.protocol.slice(0, -1), env) : { source: 'proxy', value: option };
  if (chosen === undefined) return DIRECT;
  if (option === undefined && isExempt(host, Number(target.port) || (target.protocol === 'https:' ? 443 : 80), env)) return DIRECT;
  const proxy = parseProxy(chosen.value);
  return proxy === undefined ? { kind: 'invalid', source: chosen.source } : { kind: 'proxied', proxy };
}

/** Whether a request goes through a proxy, by the `proxy` option or the environment. */
import { BlockList, isIP } from 'node:net';
import type { Environment } from '../../base/platform-types.js';
import { bareHost, isLoopback } from '../../wire/host.js';

/** A proxy to connect to. */
export interface Proxy {
  /** Its address without credentials: a library may print its URL. */
  readonly url: URL;
  /** The value of `Proxy-Authorization`; undefined if the proxy's URL has no credentials. */
  readonly authorization: string | undefined;
}

/** How a request reaches its host: directly, through a proxy, or not at all because the setting names no usable proxy. */
type ProxyDecision = { kind: 'direct' } | { kind: 'proxied'; proxy: Proxy } | { kind: 'invalid'; source: string };

const DIRECT: ProxyDecision = { kind: 'direct' };

/**
 * Decides how a request reaches its host. Loopback is never proxied, whatever the option or the variables say: for the proxy, loopback
 * is another machine.
 *
 * @param target the URL to request
 * @param option the `proxy` option: a URL; `false` for no proxy; undefined for the environment: `HTTPS_PROXY` or `HTTP_PROXY` by the
 * target's scheme, else `ALL_PROXY`, unless `NO_PROXY` exempts the host. Each is read in lower case first.
 * @param env where the variables are read
 */
export function decideProxy(target: URL, option: string | false | undefined, env: Environment): ProxyDecision {
  const host = bareHost(target.hostname);
  if (option === false || isLoopback(host)) return DIRECT;
  const chosen = option === undefined ? fromEnvironment(target.protocol.slice(0, -1), env) : { source: 'proxy', value: option };
  if (chosen === undefined) return DIRECT;
  if (option === undefined && isExempt(host, Number(target.port) || (target.protocol === 'https:' ? 443 : 80), env)) return DIRECT;
  const proxy = parseProxy(chosen.value);
  return proxy === undefined ? { kind: 'invalid', source: chosen.source } : { kind: 'proxied', proxy };
}

/** The first variable that is set for a scheme. An empty one means "no proxy", as in curl and Python, so later ones do not count. */
function fromEnvironment(scheme: string, env: Environment): { source: string; value: string } | undefined {
  const names = [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`, 'all_proxy', 'ALL_PROXY'];
  const source = names.find((name) => env[name] !== undefined);
  const value = source === undefined ? '' : (env[source] ?? '');
  return source === undefined || value.trim() === '' ? undefined : { source, value };
}

/** A proxy from its URL; without a scheme it is an http proxy, as in curl. Undefined for SOCKS, PAC and what is not a URL. */
function parseProxy(value: string): Proxy | undefined {
  const text = value.trim();
  const withScheme = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) return undefined;
  const url = new URL(withScheme);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  const { username, password } = url;
  url.username = '';
  url.password = '';
  if (username === '' && password === '') return { url, authorization: undefined };
  const credentials = Buffer.from(`${decode(username)}:${decode(password)}`).toString('base64');
  return { url, authorization: `Basic ${credentials}` };
}

/** Percent-decodes credentials; those that are not percent-encoded are used as they are. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Whether `no_proxy`, or else `NO_PROXY`, lists a host. No standard describes the variable. The rules are those that curl, Python and Go
 * share: entries separated by commas or spaces, in upper or lower case.
 *
 * @param host a bare host name or address
 * @param port the port of the request
 * @param env where the variable is read
 */
export function isExempt(host: string, port: number, env: Environment): boolean {
  const list = env['no_proxy'] ?? env['NO_PROXY'] ?? '';
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && matches(host, port, entry));
}

/** One entry: `*`, a name with all its subdomains (`.example.org`, `*.example.org` or `example.org`), an address or a range. */
function matches(host: string, port: number, entry: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInRange(host, entry);
  // An IPv6 address contains colons, so it can have a port only if it is in brackets.
  const { 1: name = entry, 2: entryPort } = (isIP(entry) === 0 && /^(.+?)(?::(\d+))?$/.exec(entry)) || [];
  if (entryPort !== undefined && Number(entryPort) !== port) return false;
  const suffix = bareHost(name).replace(/^\*?\./, '');
  return suffix !== '' && (host === suffix || (isIP(host) === 0 && host.endsWith(`.${suffix}`)));
}

const FAMILIES = { 4: 'ipv4', 6: 'ipv6' } as const;

/** Whether an address is in a range such as `10.0.0.0/8`; false if either is malformed. */
function isInRange(host: string, range: string): boolean {
  const { 0: network = '', 1: prefix = '' } = range.split('/');
  const family = isIP(network);
  const hostFamily = isIP(host);
  if ((family !== 4 && family !== 6) || (hostFamily !== 4 && hostFamily !== 6)) return false;
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(prefix), FAMILIES[family]);
  return list.check(host, FAMILIES[hostFamily]);
}

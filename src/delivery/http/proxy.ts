import { bareHost, isLoopback } from './loopback.js';
import { isExempt } from './no-proxy.js';

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

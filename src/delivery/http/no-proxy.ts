import { BlockList, isIP } from 'node:net';
import { bareHost } from './loopback.js';

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
  return list.toLowerCase().split(/[\s,]+/).some((entry) => entry !== '' && matches(host, port, entry));
}

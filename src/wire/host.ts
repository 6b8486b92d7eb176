// Host names, and which of them are this machine. A separate file: `import 'cosmos-telemetry'` needs no host names, and a file that
// HTTP shared with it would become one more file to load.

/** The host name of a URL in the form for comparisons: lower case, no final dot, no brackets around an IPv6 address. */
export function bareHost(hostname: string): string {
  return hostname
    .toLowerCase()
    .replace(/\.$/, '')
    .replace(/^\[|\]$/g, '');
}

/** Whether a bare host name is this machine by definition, whatever a name server says (RFC 6761, 6.3). */
export function isLocalhostName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/**
 * Whether a host is this machine: `localhost`, 127.0.0.0/8 or `::1`. A request to it never goes through a proxy, whose loopback is
 * another machine.
 *
 * @param host From {@link bareHost} of a URL's hostname, which writes an IPv4 address as four decimal parts.
 */
export function isLoopback(host: string): boolean {
  return isLocalhostName(host) || host === '::1' || /^(::ffff:7f[0-9a-f]{2}:[0-9a-f]+|127\.\d+\.\d+\.\d+)$/.test(host);
}

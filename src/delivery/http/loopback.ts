/** A host name as it stands in a URL, ready to be compared: lower case, no final dot, no brackets of an IPv6 address. */
export function bareHost(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '').replace(/^\[|\]$/g, '');
}

/** Whether a bare host name is this machine's by definition, whatever a name server says (RFC 6761, 6.3). */
export function isLocalhostName(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}

/**
 * Whether a bare host is this machine itself: `localhost`, 127.0.0.0/8 or `::1`. Such an endpoint is never proxied: the
 * proxy's loopback is another machine.
 *
 * @param host from `bareHost` of a URL's hostname, so that an IPv4 address has its four decimal parts
 */
export function isLoopback(host: string): boolean {
  return isLocalhostName(host) || host === '::1' || /^(::ffff:7f[0-9a-f]{2}:[0-9a-f]+|127\.\d+\.\d+\.\d+)$/.test(host);
}

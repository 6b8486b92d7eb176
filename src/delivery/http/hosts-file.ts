import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { LookupAddress } from 'node:dns';

/** Where a system keeps its hosts file. */
export function hostsFilePath(platform: NodeJS.Platform, env: NodeJS.ProcessEnv): string {
  if (platform !== 'win32') return '/etc/hosts';
  return `${env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\drivers\\etc\\hosts`;
}

/**
 * The addresses that a hosts file gives a name.
 *
 * @param text the file
 * @param host a bare host name, in lower case
 */
export function findInHosts(text: string, host: string): LookupAddress[] {
  const lower = text.toLowerCase();
  // Some keep 100,000 lines of blocked hosts there: most names are not in the file, and are not worth parting it.
  if (!lower.includes(host)) return [];
  const found: LookupAddress[] = [];
  for (const line of lower.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (names.includes(host) && isIP(address) !== 0) found.push({ address, family: isIP(address) });
  }
  return found;
}

/** Reads a hosts file; a missing or unreadable one is an empty one. */
export async function readHosts(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

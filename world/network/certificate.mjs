// Certificates of the lab, made by openssl for each run: no key lies in the repository.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Makes an authority, and a certificate of it for these names and addresses.
 *
 * @param {string} folder where the files go
 * @param {{ names: string[], addresses: string[] }} subject
 * @returns {{ authority: string, certificate: string, key: string }} the paths of PEM files
 */
export function makeCertificate(folder, { names, addresses }) {
  const path = (name) => join(folder, name);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...curve, '-days', '2', '-subj', '/CN=lab authority', '-keyout', 'authority-key.pem', '-out', 'authority.pem');
  openssl('req', ...curve, '-subj', '/CN=lab', '-keyout', 'server-key.pem', '-out', 'server.csr');
  const alternatives = [...names.map((name) => `DNS:${name}`), ...addresses.map((address) => `IP:${address}`)];
  writeFileSync(path('server.ext'), `subjectAltName=${alternatives.join(',')}\n`);
  const authority = ['-CA', 'authority.pem', '-CAkey', 'authority-key.pem', '-CAcreateserial'];
  openssl('x509', '-req', '-in', 'server.csr', ...authority, '-days', '2', '-extfile', 'server.ext', '-out', 'server.pem');
  return { authority: path('authority.pem'), certificate: path('server.pem'), key: path('server-key.pem') };
}

// A certificate for loopback that only the measured processes trust, made anew for each run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** @returns undefined where the tests were not compiled: the helper is theirs */
export async function makeCertificate() {
  let selfSignedCertificate;
  try {
    ({ selfSignedCertificate } = await import('../../build/test/helpers/certificate.js'));
  } catch {
    return undefined;
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-tls-'));
  const pair = selfSignedCertificate();
  const caFile = path.join(folder, 'ca.pem');
  writeFileSync(caFile, pair.cert);
  return { pair, caFile, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

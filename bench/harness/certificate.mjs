// A certificate for loopback, new for each run, that only the measured processes trust.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** @returns undefined if the tests are not compiled, because the helper is one of theirs */
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

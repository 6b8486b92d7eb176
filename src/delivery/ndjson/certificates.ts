/* Checks `ca`, `cert` and `key` at once: Node ignores an authority that it cannot read, and tells of the others at each connect only. */
import type { X509Certificate } from 'node:crypto';
import { bare } from '../../base/foreign-values.js';
import type { TlsSettings } from '../http/agents.js';

type Pem = string | Uint8Array;

const CERTIFICATE = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]+-----END \1-----/g;

/** @throws TypeError that names the option and shows nothing of it */
export function checkTls({ ca, cert, key }: TlsSettings): TlsSettings | undefined {
  for (const { 0: name, 1: isAlone } of [
    ['key', cert !== undefined && key === undefined],
    ['cert', key !== undefined && cert === undefined],
  ] as const) {
    if (isAlone) throw new TypeError(`Expected \`${name}\` to be given, since \`cert\` and \`key\` belong together, got undefined.`);
  }
  const authorities = (Array.isArray(ca) ? ca : [ca]) as readonly (Pem | undefined)[];
  if (ca !== undefined && !(authorities.length > 0 && authorities.every((pem) => pem !== undefined && firstOf(pem) !== undefined))) {
    throw unreadable('ca', 'certificates in PEM');
  }
  if (cert === undefined || key === undefined) return ca === undefined ? undefined : bare({ ca });
  const certificate = firstOf(cert);
  if (certificate === undefined) throw unreadable('cert', 'a certificate in PEM');
  let isPair: boolean;
  try {
    // As text: of an object Node would read further options, on a polluted `Object.prototype`, too.
    isPair = certificate.checkPrivateKey(process.getBuiltinModule('node:crypto').createPrivateKey(textOf(key)));
  } catch {
    throw unreadable('key', 'a private key in PEM without a passphrase');
  }
  if (!isPair) throw new TypeError('Expected `key` to be the private key of `cert`, which it is not.');
  return bare({ ...(ca !== undefined && { ca }), cert, key });
}

function textOf(pem: Pem): string {
  return typeof pem === 'string' ? pem : Buffer.from(pem).toString('latin1');
}

/** The first of one or more certificates; undefined if there is none, or one that cannot be read. */
function firstOf(pem: Pem): X509Certificate | undefined {
  const crypto = process.getBuiltinModule('node:crypto');
  try {
    const [first] = Array.from(textOf(pem).matchAll(CERTIFICATE), ({ 0: text }) => new crypto.X509Certificate(text));
    return first;
  } catch {
    return undefined;
  }
}

function unreadable(name: string, expected: string): TypeError {
  return new TypeError(`Expected \`${name}\` to be ${expected}, which it is not.`);
}

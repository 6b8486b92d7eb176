/** Why a connect or an exchange failed, by the codes of Node's errors and of ours. */
import type { Cause } from '../transport.js';

const BY_CODE: Readonly<Record<string, Cause>> = {
  ENOTFOUND: 'no_address',
  EAI_AGAIN: 'no_address',
  ENODATA: 'no_address',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  EACCES: 'unreachable',
  EPERM: 'unreachable',
  ETIMEDOUT: 'slow',
  ECONNRESET: 'reset',
  ECONNABORTED: 'reset',
  EPIPE: 'reset',
  EPROTO: 'tls',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls_untrusted',
  EMFILE: 'no_descriptors',
  ENFILE: 'no_descriptors',
  proxy_auth: 'proxy_auth',
  proxy_refused: 'proxy_refused',
};

/** What OpenSSL says of a chain that it does not trust, as Node spells it: `X509_V_ERR_...` without the prefix. */
const UNTRUSTED = /CERT|^UNABLE_TO_|^CRL_|^HOSTNAME_MISMATCH$|^INVALID_(?:CA|PURPOSE)$|^PATH_LENGTH_EXCEEDED$/;

/**
 * The cause behind a code; undefined for an unknown one.
 *
 * @param code `code` of an error
 */
export function causeOfCode(code: unknown): Cause | undefined {
  if (typeof code !== 'string') return undefined;
  if (Object.hasOwn(BY_CODE, code)) return BY_CODE[code];
  if (code.startsWith('HPE_')) return 'parse';
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) return 'tls';
  return UNTRUSTED.test(code) ? 'tls_untrusted' : undefined;
}

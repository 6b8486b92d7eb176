// An operator of NATS, its account with JetStream, and credentials of a user, as `nsc` makes them: JWTs that are signed with nkeys.
import { createHash } from 'node:crypto';
import { nkeys } from '@nats-io/transport-node';

const base64 = (bytes) => Buffer.from(bytes).toString('base64url');

function sign(issuer, subject, name, nats, until) {
  const claims = { iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub: subject.getPublicKey(), nats };
  if (until !== undefined) claims.exp = until;
  claims.jti = createHash('sha256').update(JSON.stringify(claims)).digest('hex');
  const signed = `${base64(JSON.stringify({ typ: 'JWT', alg: 'ed25519-nkey' }))}.${base64(JSON.stringify(claims))}`;
  return `${signed}.${base64(issuer.sign(Buffer.from(signed)))}`;
}

/** The configuration of a server with what the account may store, credentials of a user that it takes, and the secrets in them. */
export function accountOf(storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }) {
  const [operator, account, system, user] = [nkeys.createOperator(), nkeys.createAccount(), nkeys.createAccount(), nkeys.createUser()];
  const none = { subs: -1, data: -1, payload: -1 };
  const limits = { ...none, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
  const jwtOf = (pair, name, more) => sign(operator, pair, name, { limits: { ...limits, ...more }, type: 'account', version: 2 });
  const seed = Buffer.from(user.getSeed()).toString();
  const credentialsUntil = (until) => {
    const jwt = sign(account, user, 'relay', { pub: {}, sub: {}, ...none, type: 'user', version: 2 }, until);
    return [
      '-----BEGIN NATS USER JWT-----',
      jwt,
      '------END NATS USER JWT------',
      '',
      '************************* IMPORTANT *************************',
      '-----BEGIN USER NKEY SEED-----',
      seed,
      '------END USER NKEY SEED------',
      '',
    ].join('\n');
  };
  const credentials = credentialsUntil(undefined);
  return {
    config: `
operator: ${sign(operator, operator, 'operator', { type: 'operator', version: 2 })}
resolver: MEMORY
system_account: ${system.getPublicKey()}
resolver_preload: {
  ${account.getPublicKey()}: ${jwtOf(account, 'telemetry', storage)}
  ${system.getPublicKey()}: ${jwtOf(system, 'system', {})}
}`,
    credentials,
    credentialsUntil,
    secrets: [seed, credentials.split('\n')[1]],
  };
}

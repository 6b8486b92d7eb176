#!/bin/sh
# Makes the certificates of the TLS tests anew, in this folder: a private authority, and a server's certificate signed by it.
# They are good for a hundred years and for nothing but tests; the authority's key is thrown away.
set -eu
cd "$(dirname "$0")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -sha256 \
  -subj '/CN=cosmos-telemetry test authority' -keyout authority-key.pem -out authority.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
  -subj '/CN=cosmos-telemetry test server' -keyout server-key.pem -out server.csr
cat > server.ext <<'EXT'
basicConstraints=CA:FALSE
extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,DNS:collector.test,DNS:proxy.test,IP:127.0.0.1,IP:192.0.2.10
EXT
openssl x509 -req -in server.csr -CA authority.pem -CAkey authority-key.pem -set_serial 1 \
  -days 36500 -sha256 -extfile server.ext -out server.pem
rm -f authority-key.pem server.csr server.ext

#!/usr/bin/env bash
# psql 15 prints a text without the last two characters of each plane but the first, such as U+1FFFF and U+10FFFF, and says nothing. The server
# has them: `COPY ... TO STDOUT` writes them, and `octet_length` counts them. So what a script reads from `psql -At -c 'SELECT ...'` may differ
# from what is stored.
# Needs the server and psql of Debian's package postgresql; it starts a cluster of its own on a socket in a temporary folder, and stops it.
# Usage: bash findings/psql-noncharacters.sh        Exits with 1 if the version behaves differently.
set -euo pipefail

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
work=$(mktemp -d)
owner=()
if [ "$(id -u)" = 0 ]; then
  owner=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  chown postgres: "$work"
fi
stop() {
  "${owner[@]}" "$bin/pg_ctl" -D "$work/cluster" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap stop EXIT
cd "$work"
"${owner[@]}" "$bin/initdb" -D "$work/cluster" -A trust -U postgres -E UTF8 --no-locale --no-sync >/dev/null
"${owner[@]}" "$bin/pg_ctl" -D "$work/cluster" -w -l "$work/log" -o "-c listen_addresses='' -c unix_socket_directories='$work'" start >/dev/null

ask() { PGCLIENTENCODING=UTF8 "${owner[@]}" "$bin/psql" -X -h "$work" -U postgres -At -c "$1" | od -An -tx1 | tr -d ' \n'; }
text="U&'a\\+01FFFF\\+02FFFE\\+10FFFE\\+10FFFFb'"
selected=$(ask "SELECT $text")
copied=$(ask "COPY (SELECT $text) TO STDOUT")
length=$(ask "SELECT octet_length($text)")
echo "$("$bin/psql" --version): SELECT prints $selected, COPY writes $copied, octet_length in ASCII $length"
# a and b alone; all of them; 18 bytes.
[ "$selected" = 61620a ] && [ "$copied" = 61f09fbfbff0afbfbef48fbfbef48fbfbf620a ] && [ "$length" = 31380a ]

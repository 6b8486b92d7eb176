#!/usr/bin/env bash
# Debian 12's package of Prometheus, 2.42.0+ds-5+deb12u1: `promtool check config` says that a configuration which Prometheus' own documentation
# shows is wrong: "field kubernetes_sd_configs not found in type config.ScrapeConfig". The package is built without the discovery of
# Kubernetes (and of most clouds), and the message blames the file instead of saying so. A static configuration of the same job passes.
#
# So `promtool check config` of Debian cannot check a configuration for Kubernetes.
# Usage: bash findings/debian-promtool-kubernetes.sh        Exits with 1 if it behaves differently, and with 2 if apt does not have that version.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
chmod 755 "$work"

apt-get download -qq prometheus=2.42.0+ds-5+deb12u1 2>/dev/null || exit 2
dpkg -x prometheus_*.deb .

for discovery in 'kubernetes_sd_configs: [{ role: pod }]' 'static_configs: [{ targets: ["127.0.0.1:9464"] }]'; do
  printf 'scrape_configs:\n  - job_name: relay\n    %s\n' "$discovery" >config.yml
  said=$(./usr/bin/promtool check config config.yml 2>&1) && ended=0 || ended=$?
  echo "$ended: $said"
  case "$discovery" in
    kubernetes*) [ "$ended" != 0 ] && grep -q 'field kubernetes_sd_configs not found' <<<"$said" ;;
    *) [ "$ended" = 0 ] ;;
  esac || exit 1
done

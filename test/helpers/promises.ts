// The promises of docs/reliability.md by id. A test declares which of them it proves: `test(proves('exit-delivers', 'a script …'), …)`.

export const PROMISES = [
  'hook-network',
  'hook-payload',
  'module-words',
  'one-description',
  'hook-publish',
  'hook-rejection',
  'hook-fuzz',
  'memory-bound',

  'accounts-balance',
  'sent-means-2xx',
  'sent-ignores-body',
  'publish-order',
  'opt-out-unknown',
  'debug-audit',
  'prototype-pollution',

  'breaker-firewall',
  'breaker-probe',
  'retry-status',
  'retry-after',
  'retry-jitter',
  'reuse-short',
  'addresses-race',
  'busy-loop',
  'outage-recovers',
  'close-tries-again',
  'redirect-origin',
  'body-bound',
  'dns-silent',
  'names-search',
  'names-failover',
  'names-at-once',
  'proxy-loopback',
  'tls-extra-ca',
  'requests-own-headers',
  'requests-untraced',
  'many-instances',

  'close-deadline',
  'exit-delivers',
  'exit-no-delay',
  'exit-silent-endpoint',
  'exit-connect',
  'exit-clients',
  'exit-guess',
  'exit-isolation',

  'log-secrets',
  'error-secrets',
  'load-again',
  'realm',
  'types-alone',
  'tests-loopback',
  'machine-facts',

  'relay-bytes',
  'relay-sigkill',
  'relay-endpoint-away',
  'relay-refusals',
  'relay-once',
  'relay-deadline',
  'relay-disk',
  'relay-torn-line',
  'relay-clock',
  'relay-age-bound',
  'relay-directory',
  'relay-lock',
  'relay-hostile-bytes',
  'relay-browser',
  'relay-clients',
  'relay-connections',
  'relay-descriptors',
  'relay-undecided',
  'relay-opt-out',
] as const;

export type PromiseId = (typeof PROMISES)[number];

/** @returns The title with the ids behind it, so that a failure names the broken promise: `a script … [exit-delivers]`. */
export function proves(promise: PromiseId | readonly PromiseId[], title: string): string {
  const ids: readonly PromiseId[] = typeof promise === 'string' ? [promise] : promise;
  return `${title} ${ids.map((id) => `[${id}]`).join(' ')}`;
}

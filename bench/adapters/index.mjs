// The adapters by their names in tables. Each is imported when it is used, so a run needs only the packages that it compares.

const BY_NAME = {
  'eventemitter3 emit, one listener': ['floors', 'openBare'],
  'floor: emit, ring': ['floors', 'openRing'],
  'floor: emit, copy, ring': ['floors', 'openCopyRing'],
  'p-queue add': ['p-queue', 'open'],
  naive: ['naive', 'open'],
  'node-fetch loop': ['request-loops', 'openNodeFetch'],
  'node:http loop': ['request-loops', 'openNodeHttp'],
  ours: ['ours', 'open'],
  'ours by lines': ['ours', 'openLines'],
  'ours by exporter': ['ours', 'openOtel'],
  OpenTelemetry: ['otel', 'open'],
  PostHog: ['posthog', 'open'],
  Segment: ['segment', 'open'],
  Sentry: ['sentry', 'open'],
  'Application Insights': ['application-insights', 'open'],
};

/** Products for the same purpose. */
export const RIVALS = ['OpenTelemetry', 'PostHog', 'Segment', 'Sentry', 'Application Insights'];

/** @returns a client as described in README.md beside this file */
export async function openClient(name, options) {
  const [file, factory] = BY_NAME[name];
  const adapter = await import(`./${file}.mjs`);
  return adapter[factory](options);
}

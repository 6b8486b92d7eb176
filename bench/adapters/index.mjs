// Every side of a comparison by its name in tables. Imported at need: nobody pays for packages of a comparison that is not run.

const BY_NAME = {
  'eventemitter3 emit, one listener': ['floors', 'openBare'],
  'floor: emit, ring': ['floors', 'openRing'],
  'floor: emit, copy, ring': ['floors', 'openCopyRing'],
  'p-queue add': ['p-queue', 'open'],
  naive: ['naive', 'open'],
  'node-fetch loop': ['request-loops', 'openNodeFetch'],
  'node:http loop': ['request-loops', 'openNodeHttp'],
  ours: ['ours', 'open'],
  OpenTelemetry: ['otel', 'open'],
  PostHog: ['posthog', 'open'],
  Segment: ['segment', 'open'],
};

/** Products for the same purpose. */
export const RIVALS = ['OpenTelemetry', 'PostHog', 'Segment'];

/** @returns a client, as README.md beside this file describes it */
export async function openClient(name, options) {
  const [file, factory] = BY_NAME[name];
  const adapter = await import(`./${file}.mjs`);
  return adapter[factory](options);
}

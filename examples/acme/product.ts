// Acme, described once: the client, the privacy notice (PRIVACY.md beside this file) and the command all take this object.
import { count, defineEvent, duration, oneOf } from 'cosmos-telemetry';

const backfill = defineEvent(
  'backfill',
  {
    outcome: oneOf(['completed', 'cancelled'], {
      description: 'How the backfill ended.',
      reason: 'To know whether people give up waiting.',
    }),
    days: count({ description: 'How many days it covered.', reason: 'To know the sizes that must stay fast.', example: 31 }),
    elapsed: duration({ description: 'How long it took, in seconds.', reason: 'To find versions that became slower.', example: 84.2 }),
  },
  'Sent when a backfill ends.',
);

const edition = oneOf(['community', 'enterprise'], {
  description: 'The edition of Acme.',
  reason: 'To know whom a change concerns.',
});

/** Acme, for `createTelemetry`, `writePrivacyNotice` and `createTelemetryCli`. */
export const acme = {
  product: { name: 'acme', version: '3.1.0' },
  endpoint: 'https://telemetry.acme.example',
  events: [backfill],
  // The words that may be sent from a module such as acme.operators.spark.
  executionModes: ['spark', 'sql'],
  common: { edition: { field: edition, value: 'community' } },
  contact: 'Questions: privacy@acme.example.',
  retention: 'The server keeps requests for 90 days.',
  command: 'acme telemetry',
} as const;

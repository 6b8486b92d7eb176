// Acme's own events. The program, its privacy notice (PRIVACY.md beside this file) and the test of that notice use them.
import { count, defineEvent, duration, oneOf, renderPrivacyNotice } from 'cosmos-telemetry';

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

/** Acme's own events. */
export const acmeEvents = [backfill] as const;

/** The text of Acme's PRIVACY.md. */
export function acmePrivacyNotice(): string {
  return renderPrivacyNotice({ product: { name: 'acme' }, events: acmeEvents, endpoint: 'https://telemetry.acme.example' });
}

import test from 'ava';
import { statusOutcome } from '../../../src/delivery/http/responses.js';

const clock = { wallNow: () => 0 };

function headers(retryAfter: string | null): { get(name: string): string | null } {
  return { get: (name) => (name === 'retry-after' ? retryAfter : null) };
}

for (const status of [200, 201, 202, 204, 299]) {
  test(`${status} is sent, whatever Retry-After says`, (t) => {
    t.deepEqual(statusOutcome(status, headers('60'), clock), { kind: 'sent' });
  });
}

for (const status of [408, 425, 429, 500, 502, 503, 504]) {
  test(`${status} is retryable, and deferred with a Retry-After`, (t) => {
    const retryable = { kind: 'retryable', reason: `http_${status}` };
    t.deepEqual(statusOutcome(status, headers(null), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('rubbish'), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('-5'), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('0'), clock), retryable);
    t.deepEqual(statusOutcome(status, headers('60'), clock), { kind: 'deferred', waitMs: 60_000, reason: `http_${status}` });
    t.deepEqual(statusOutcome(status, headers('86400'), clock), { kind: 'deferred', waitMs: 300_000, reason: `http_${status}` });
  });
}

for (const status of [300, 304, 305, 400, 401, 403, 404, 407, 410, 413, 414, 431, 501, 505, 599, 600, 999]) {
  test(`${status} is rejected, whatever Retry-After says`, (t) => {
    t.deepEqual(statusOutcome(status, headers('60'), clock), { kind: 'rejected', reason: `http_${status}` });
  });
}

import type { RelayStatus } from '../../../src/relay/status.js';

/** A status of a relay that has sent nothing yet, but for what is given. */
export function aStatus(given: Partial<RelayStatus> = {}): RelayStatus {
  return {
    version: '1.2.3',
    startedAt: '2026-01-02T03:00:00.000Z',
    uptimeMs: 7_200_000,
    now: '2026-01-02T05:00:00.000Z',
    state: 'idle',
    sentence: 'Idle: no event waits, and none has been sent since the start.',
    since: '2026-01-02T03:00:00.000Z',
    cause: undefined,
    optedOutBy: undefined,
    endpoint: 'https://telemetry.acme.example/up',
    dagFactoryEndpoint: undefined,
    forwardKind: 'cosmos',
    lastSuccessAt: undefined,
    lastFailure: undefined,
    pending: 0,
    oldestAgeMs: undefined,
    spool: { kind: 'disk', bytes: 0, maxBytes: 67_108_864, isDurable: true },
    warnings: [],
    totals: { accepted: 0, sent: 0, failed: 0, dropped: 0, duplicates: 0, recovered: 0, maybeSentTwice: 0 },
    failedBy: {},
    droppedBy: {},
    refusedBy: {},
    attemptsFailedBy: {},
    answers: {},
    minutes: [],
    ...given,
  };
}

// The states of a relay that an alert is for, or is not for.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const HOUR_MS = 3_600_000;

/** Leaves events of an earlier process in a spool: one for each age. */
function leaveEvents(spool, agesMs) {
  mkdirSync(spool, { mode: 0o700 });
  const lines = agesMs.map((ageMs, seq) =>
    JSON.stringify({ seq, mark: seq, at: Date.now() - ageMs, target: '/v3/dag_run?status=success&task_count=3' }),
  );
  writeFileSync(join(spool, 'events-000001.jsonl'), lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  writeFileSync(join(spool, 'marks-000001.txt'), '.'.repeat(lines.length), { mode: 0o600 });
}

/** Each state of a relay: how it comes about, and the alerts that belong to it. `cause` is what the alert says, `queue` how many servers of NATS there are. */
export const STATES = {
  healthy: {
    act: async ({ send, metric }) => {
      await send(3);
      await metric('cosmos_relay_events_sent_total', 3);
    },
    alerts: [],
  },
  'the endpoint refuses connections': {
    endpoint: 'http://127.0.0.1:9',
    act: async ({ send, metric }) => {
      await send(3);
      await metric('cosmos_relay_breaker_state{state="open"}', 1);
    },
    alerts: ['CosmosRelayNotDelivering'],
    cause: 'refused',
  },
  'the endpoint refuses events': {
    act: async ({ endpoint, send, metric }) => {
      endpoint.status = 503;
      await send(5);
      await metric('cosmos_relay_paused', 1);
    },
    alerts: ['CosmosRelayNotDelivering'],
    cause: 'http_503',
  },
  'the endpoint asks for patience': {
    act: async ({ endpoint, send, metric }) => {
      endpoint.status = 429;
      endpoint.headers = { 'retry-after': '3600' };
      await send(2);
      await metric('cosmos_relay_not_delivering{cause="http_429"}', 1);
    },
    alerts: ['CosmosRelayNotDelivering'],
    cause: 'http_429',
  },
  'the endpoint is silent': {
    args: ['--attempt-timeout-ms=300', '--concurrency=2'],
    act: async ({ endpoint, send, metric }) => {
      endpoint.status = undefined;
      await send(60);
      await metric('cosmos_relay_breaker_state{state="open"}', 1);
    },
    alerts: ['CosmosRelayNotDelivering'],
    cause: 'timeout',
  },
  'a file that may opt out cannot be read': {
    // A folder at the place of the file. Its place is that of Linux.
    home: (home) => mkdirSync(join(home, '.config', 'cosmos', 'telemetry.json'), { recursive: true }),
    act: async ({ send, metric }) => {
      await send(2);
      await metric('cosmos_relay_not_delivering{cause="undecided"}', 1);
    },
    alerts: ['CosmosRelayNotDelivering'],
    cause: 'undecided',
  },
  'an event failed, and none waits': {
    args: ['--attempt-timeout-ms=300'],
    act: async ({ endpoint, send, metric }) => {
      endpoint.status = undefined;
      await send(1);
      await metric('cosmos_relay_events_failed_total{reason="timeout"}', 1);
    },
    alerts: [],
  },
  'the endpoint is back': {
    act: async ({ endpoint, send, metric }) => {
      endpoint.status = 503;
      await send(5);
      await metric('cosmos_relay_paused', 1);
      endpoint.status = 204;
      await metric('cosmos_relay_events_pending', 0);
    },
    args: ['--max-backoff-ms=100'],
    alerts: [],
  },
  'an event is older than an hour': {
    endpoint: 'http://127.0.0.1:9',
    spool: (spool) => leaveEvents(spool, [25 * HOUR_MS, 2 * HOUR_MS, 1000]),
    act: async ({ metric }) => {
      await metric('cosmos_relay_events_dropped_total{reason="expired"}', 1);
      await metric('cosmos_relay_not_delivering{cause="refused"}', 1);
    },
    alerts: ['CosmosRelayNotDelivering', 'CosmosRelayOldEvent'],
    cause: 'refused',
  },
  'the spool is nearly full': {
    endpoint: 'http://127.0.0.1:9',
    args: ['--max-spool-bytes=65536'],
    act: async ({ send, metric }) => {
      let statuses = [];
      while (!statuses.includes(503)) statuses = await send(20, [204, 200, 503]);
      await metric('cosmos_relay_not_delivering{cause="refused"}', 1);
    },
    alerts: ['CosmosRelayNotDelivering', 'CosmosRelaySpoolNearlyFull'],
    cause: 'refused',
  },
  'the spool cannot be used': {
    spool: (spool) => symlinkSync(tmpdir(), spool),
    act: async ({ send, metric }) => {
      await send(3, [200]);
      await metric('cosmos_relay_events_sent_total', 3);
    },
    alerts: ['CosmosRelayNotDurable'],
  },
  'without a spool': {
    spool: null,
    act: async ({ send, metric }) => {
      await send(3, [200]);
      await metric('cosmos_relay_events_sent_total', 3);
    },
    alerts: ['CosmosRelayNotDurable'],
  },
  'the queue cannot be reached': {
    spool: null,
    args: ['--jetstream=nats://127.0.0.1:9'],
    act: async ({ send, metric }) => {
      await send(3, [200]);
      await metric('cosmos_relay_events_pending', 3);
    },
    alerts: ['CosmosRelayNotDurable'],
  },
  'one server keeps the events of the queue': {
    spool: null,
    queue: 1,
    act: async ({ send, metric }) => {
      await send(3, [200]);
      await metric('cosmos_relay_events_sent_total', 3);
    },
    alerts: ['CosmosRelayNotDurable'],
  },
  'three servers keep the events of the queue': {
    spool: null,
    queue: 3,
    act: async ({ send, metric }) => {
      await metric('cosmos_relay_spool_durable', 1);
      await send(3);
      await metric('cosmos_relay_events_sent_total', 3);
    },
    alerts: [],
  },
  'opted out': {
    env: { DO_NOT_TRACK: '1' },
    act: ({ send }) => send(3, [202]),
    alerts: ['CosmosRelayOptedOut'],
  },
};

import test from 'ava';
import * as fc from 'fast-check';
import { ndjsonTransportWith } from '../../../src/delivery/ndjson/ndjson-transport.js';
import { count, createTelemetry, defineEvent, duration, hash, optional } from '../../../src/index.js';
import { testEnvironment } from '../../../src/testing/index.js';
import { receiver } from '../../helpers/line-receiver.js';
import { proves } from '../../helpers/promises.js';
import { addsUp } from '../../helpers/telemetry-rig.js';

const NOTE = { description: 'What it says.', reason: 'Why it is collected.' };
const EVENTS = [
  defineEvent('alpha', { n: count(NOTE), took: duration(NOTE), digest: hash(NOTE), id: optional(count(NOTE)) }),
  defineEvent('beta', { n: count(NOTE), more: optional(count(NOTE)) }),
];
/** What each event of this process has. */
const STANDARD = ['node_version', 'platform_machine', 'platform_system'];
const PRODUCT = { name: 'acme', version: '1.2.0' };

interface Line {
  readonly id: string;
  readonly time: string;
  readonly event: string;
  readonly n: number;
}

/** What a receiver does with the lines of a request. Those that it keeps it gives to `keep`. */
type Fault = (lines: readonly Line[], keep: (kept: readonly Line[]) => void) => readonly [code: number, body?: unknown] | undefined;

const named = (lines: readonly Line[], code: number) => ({ errors: lines.map(({ id }) => ({ id, status: code })) });
const third = (lines: readonly Line[], are: boolean) => lines.filter(({ n }) => (n % 3 === 0) === are);
const someBy =
  (code: number, answered: number): Fault =>
  (lines, keep) => {
    keep(third(lines, false));
    return [answered, named(third(lines, true), code)];
  };
const FAULTS: Readonly<Record<string, Fault>> = {
  none: (lines, keep) => {
    keep(lines);
    return [200];
  },
  400: () => [400],
  429: () => [429],
  503: () => [503],
  'some refused': someBy(400, 207),
  'some refused by 200': someBy(404, 200),
  'some later': someBy(503, 207),
  'nothing said': () => [207],
  'no event named': () => [207, { errors: [{ line: 1, status: 400 }] }],
  contradicted: (lines) => [207, { errors: [...named(lines, 400).errors, ...named(lines, 200).errors, null, { id: 'x' }] }],
  'kept, then reset': (lines, keep) => {
    keep(lines);
    return undefined;
  },
  reset: () => undefined,
};

const tooLarge: Fault = () => [413];

const plan = fc.record({
  faults: fc.array(fc.constantFrom('none', ...Object.keys(FAULTS)), { maxLength: 40 }),
  clients: fc.constantFrom(1, 2),
  isShared: fc.boolean(),
  concurrency: fc.integer({ min: 1, max: 8 }),
  maxBatchSize: fc.integer({ min: 1, max: 60 }),
  maxLines: fc.constantFrom(1, 5, 20, 60),
  retries: fc.nat(3),
  lingerMs: fc.constantFrom(0, 1, 1000),
  gzip: fc.boolean(),
  isHeadersLate: fc.boolean(),
  turns: fc.array(fc.nat(60), { minLength: 1, maxLength: 6 }),
});

type Plan = typeof plan extends fc.Arbitrary<infer P> ? P : never;

test(
  proves('lines-each-event', 'whatever a receiver answers, each line is whole and the same in each attempt, and each event counts once'),
  async (t) => {
    const run = async (planned: Plan): Promise<void> => {
      const { faults, maxLines, retries, lingerMs, gzip, isHeadersLate, maxBatchSize, concurrency } = planned;
      const wrong: string[] = [];
      const texts = new Map<string, string>();
      const kept = new Map<string, Line>();
      const published = new Map<number, object>();
      const check = (stats: Parameters<typeof addsUp>[0]): void => {
        if (!addsUp(stats)) wrong.push(`the accounts: ${JSON.stringify(stats)}`);
      };
      const ends: (() => void)[] = [];
      const { url } = await receiver({ teardown: (end) => ends.push(end) }, ({ lines, endsWithNewline }, response) => {
        if (!endsWithNewline) wrong.push('no newline at the end');
        const read = lines.map((line) => JSON.parse(line) as Line);
        if (new Set(read.map(({ id }) => id)).size !== read.length) wrong.push('a line twice');
        for (const [at, { id }] of read.entries()) {
          if ((texts.get(id) ?? lines[at]) !== lines[at]) wrong.push(`${texts.get(id)} became ${lines[at]}`);
          texts.set(id, lines[at] ?? '');
        }
        for (const { telemetry } of clients) check(telemetry.stats());
        const fault = read.length > maxLines ? tooLarge : FAULTS[faults.shift() ?? 'none'];
        const answer = fault?.(read, (lasting) => {
          for (const line of lasting) kept.set(line.id, line);
        });
        if (answer === undefined) response.destroy();
        else response.writeHead(answer[0]).end(JSON.stringify(answer[1] ?? ''));
      });
      const open = () =>
        ndjsonTransportWith(
          {
            endpoint: url,
            env: {},
            retries,
            lingerMs,
            gzip,
            maxBatchSize,
            ...(isHeadersLate && { headers: () => new Promise((resolve) => setImmediate(() => resolve({ 'x-key': '7' }))) }),
          },
          { random: () => 0 },
        );
      const shared = open();
      const clients = Array.from({ length: planned.clients }, () => {
        const transport = planned.isShared ? { ...shared, close: () => undefined } : open();
        const env = testEnvironment('acme');
        return {
          telemetry: createTelemetry({ product: PRODUCT, events: EVENTS, transport, env, concurrency, drainConcurrency: concurrency }),
        };
      });
      let n = 0;
      for (const events of planned.turns) {
        for (let event = 0; event < events; event += 1) {
          const type = n % 2 === 0 ? 'alpha' : 'beta';
          const own =
            type === 'alpha'
              ? { n, took: n + 0.5, digest: `${1e7 + n}`, ...(n % 5 === 0 && { id: n }) }
              : { n, ...(n % 7 === 0 && { more: n }) };
          const { id: fieldId, digest, ...rest } = { id: undefined, digest: undefined, ...own };
          published.set(n, {
            event: type,
            acme_version: '1.2.0',
            ...rest,
            ...(digest !== undefined && { digest: `h${digest}` }),
            ...(fieldId !== undefined && { field_id: fieldId }),
          });
          clients[n % clients.length]?.telemetry.publish(type, own);
          n += 1;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      let sent = 0;
      for (const { telemetry } of clients) {
        const report = await telemetry.close({ deadlineMs: 20_000 });
        check(report);
        t.like(report, { pending: 0, dropped: 0, timedOut: false });
        sent += report.sent;
      }
      await shared.close?.();
      for (const end of ends) end();
      t.deepEqual(wrong, []);
      t.true(sent <= kept.size, `${sent} sent, ${kept.size} kept`);
      t.is(new Set(Array.from(kept.values(), (line) => line.n)).size, kept.size, 'no event has two ids');
      for (const { id, time, ...fields } of kept.values()) {
        for (const name of STANDARD) Reflect.deleteProperty(fields, name);
        t.deepEqual(fields as object, published.get(fields.n) ?? {});
        t.is(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16), Date.parse(time));
      }
    };
    await fc.assert(fc.asyncProperty(plan, run), { numRuns: 25, seed: 20_261_129 });
  },
);

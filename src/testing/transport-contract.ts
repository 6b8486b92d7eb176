// The rules for every transport, as tests for any test runner.
import { AssertionError, deepStrictEqual, ok } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { givenOptions } from '../base/check-options.js';
import { outcomeOf, TRANSPORT_ERROR } from '../delivery/transport.js';
import type { SendOutcome, Transport, UsageEvent } from '../delivery/transport.js';
import type { FieldKind } from '../events/fields.js';

/**
 * One rule of a contract, as a test.
 *
 * @example
 * const tests: readonly ContractTest[] = transportContract(() => recordingTransport());
 * console.log(tests[0]?.name); // send() returns a promise and does not throw
 */
export interface ContractTest {
  /** The rule. Unique in its list. @example 'send() leaves the events unchanged' */
  readonly name: string;
  /** Runs the test. Rejects with an `AssertionError` of node:assert if the rule is broken. */
  readonly run: () => Promise<void>;
}

/**
 * Makes a transport that was not used before.
 *
 * @example
 * const makeTransport: MakeTransport = () => recordingTransport({ maxBatchSize: 10 });
 */
export type MakeTransport = () => Transport | Promise<Transport>;

/**
 * Options of `transportContract`.
 *
 * @example
 * const unreachable = async () => fetchTransport({ endpoint: `http://127.0.0.1:${await refusedPort()}` });
 * const options: TransportContractOptions = { unreachable, abortWithinMs: 500 };
 */
export interface TransportContractOptions {
  /**
   * Makes the transport for an endpoint that refuses connections. It adds a test of the outcome.
   * @default no such test
   * @example async () => acmeTransport(`http://127.0.0.1:${await refusedPort()}`)
   */
  unreachable?: MakeTransport | undefined;
  /**
   * Makes the transport for an endpoint that never answers. It makes the tests of the abort stricter: without it, a send may end before
   * its signal aborts.
   * @default the transport of `makeTransport`
   * @example () => acmeTransport(server.url) // `server` is a `silentServer()`
   */
  silent?: MakeTransport | undefined;
  /**
   * How many events have arrived in all at the endpoint of `makeTransport`. It adds a test: events whose outcome is `sent` have arrived
   * when `close()` has resolved, also those with `handedOver`.
   * @default no such test
   * @example () => server.events
   */
  arrived?: (() => number | Promise<number>) | undefined;
  /** The longest that a send may take, in milliseconds. @default 14_000, the limit of the emitter by default */
  settleWithinMs?: number | undefined;
  /** The longest that a send may take after its signal aborts, in milliseconds. @default 1000 */
  abortWithinMs?: number | undefined;
  /** The longest that sockets and timers may stay open after `close()`, in milliseconds. @default 1000 */
  releaseWithinMs?: number | undefined;
}

/** Sends under one signal: more than Node's limit of ten listeners before it warns of a leak. */
const SENDS_PER_SIGNAL = 20;

/** When a signal aborts, in turns of the event loop after the call of `send()`: at once, while it connects, while it waits. */
const ABORT_AFTER_TURNS = [0, 1, 10, 100];

/** Sends at the same time. */
const SENDS_AT_ONCE = 5;

/**
 * Makes the tests that every `Transport` must pass, for any test runner:
 *
 * - `send()` returns a promise, never throws and never rejects. It settles with a known outcome, whose reason matches
 *   `^[a-z0-9_]{1,40}$`.
 * - `maxBatchSize` is undefined or a positive integer, and `send()` takes as many events. (It never gets more, and never none.)
 * - `lingerMs` is undefined or a number of milliseconds from 0 to an hour, `maxBatchBytes` is undefined or a positive integer, and
 *   `bytesOf`
 *   gives a number that is not negative and the same each time.
 * - A `partial` outcome has one outcome for each event, and none of these is `partial`.
 * - `send()` does not change the events: the emitter keeps them for another attempt.
 * - A send ends soon after its signal aborts, before or during the send: with `aborted`, or with the outcome it already has.
 * - Sends at the same time do not affect each other.
 * - Sends under one signal leave at most one `abort` listener on it, and none after `close()`.
 * - `close()` resolves when what it does is done: with `arrived`, what was `sent` has arrived by then.
 * - `close()` may be called more than once, and during a send whose signal has aborted.
 * - After `close()`, no socket and no timer of the transport holds the process.
 *
 * Test the transport itself: decorators such as `retrying` turn a throw into an outcome. Run the tests one after the other, since the last
 * rule counts the resources of the process. Start servers before the first test, and unref a server of the same process.
 *
 * It never throws: what `makeTransport` throws or rejects with fails the test.
 *
 * @param makeTransport makes the transport for an endpoint that works. It is called once for each test.
 * @param options Further transports for stricter rules, and the limits of time.
 * @example
 * const collector = await startCollector();
 * for (const { name, run } of transportContract(() => fetchTransport({ endpoint: collector.url })).slice(0, 1)) {
 *   await run();
 *   console.log(name.startsWith('send() ')); // true
 * }
 * await collector.close();
 */
export function transportContract(makeTransport: MakeTransport, options: TransportContractOptions = {}): readonly ContractTest[] {
  const { unreachable, arrived, silent = makeTransport, settleWithinMs = 14_000, abortWithinMs = 1000, releaseWithinMs = 1000 } = options;
  const contractTest = (name: string, make: MakeTransport, run: (transport: Transport) => Promise<void>): ContractTest => ({
    name,
    run: async () => {
      const transport = await make();
      try {
        await run(transport);
      } finally {
        await closeQuietly(transport, settleWithinMs);
      }
    },
  });
  const hasOutcome = async (transport: Transport): Promise<void> => {
    await settle(send(transport, [usageEvent(0)]), settleWithinMs);
  };

  return [
    contractTest('send() returns a promise and does not throw', makeTransport, async (transport) => {
      const controller = new AbortController();
      const sending = callSend(transport, [usageEvent(0)], controller.signal);
      ok(typeof (sending as PromiseLike<unknown> | undefined)?.then === 'function', `send() returned ${inspect(sending)}`);
      // Other tests check how it settles.
      Promise.resolve(sending).catch(() => undefined);
      controller.abort();
    }),
    contractTest('send() settles with a known outcome', makeTransport, hasOutcome),
    ...(unreachable === undefined
      ? []
      : [contractTest('send() settles with a known outcome if the endpoint is unreachable', unreachable, hasOutcome)]),
    contractTest('send() takes maxBatchSize events', makeTransport, async (transport) => {
      const { maxBatchSize = 1 } = transport;
      ok(Number.isSafeInteger(maxBatchSize) && maxBatchSize > 0, `maxBatchSize is ${inspect(maxBatchSize)}`);
      const batch = Array.from({ length: maxBatchSize }, (_, index) => usageEvent(index));
      const outcome = await settle(send(transport, batch), settleWithinMs, maxBatchSize);
      const isInvalid = outcome.kind === 'refused' && outcome.reason === 'invalid';
      ok(!isInvalid, `a batch of maxBatchSize (${maxBatchSize}) events was refused as invalid`);
    }),
    contractTest('what it says of its batches is valid', makeTransport, async (transport) => {
      const { lingerMs = 0, maxBatchBytes = 1, bytesOf } = givenOptions(transport, ['lingerMs', 'maxBatchBytes', 'bytesOf']);
      ok(typeof lingerMs === 'number' && lingerMs >= 0 && lingerMs <= HOUR_MS, `lingerMs is ${inspect(lingerMs)}`);
      ok(Number.isSafeInteger(maxBatchBytes) && maxBatchBytes > 0, `maxBatchBytes is ${inspect(maxBatchBytes)}`);
      if (bytesOf === undefined) return;
      ok(typeof bytesOf === 'function', `bytesOf is ${inspect(bytesOf)}`);
      const event = usageEvent(0);
      const before = contentOf(event);
      const [bytes, again] = [sizeOf(transport, event), sizeOf(transport, event)];
      ok(Number.isFinite(bytes) && (bytes as number) >= 0, `bytesOf() returned ${inspect(bytes)}`);
      ok(bytes === again, `bytesOf() returned ${inspect(bytes)}, then ${inspect(again)}, for the same event`);
      deepStrictEqual(contentOf(event), before, 'bytesOf() changed an event');
    }),
    contractTest('send() leaves the events unchanged', makeTransport, async (transport) => {
      const batch = Array.from({ length: Math.min(transport.maxBatchSize ?? 1, SENDS_AT_ONCE) }, (_, index) => usageEvent(index));
      const before = batch.map(contentOf);
      const events = [...batch];
      await settle(send(transport, batch), settleWithinMs, batch.length);
      ok(batch.length === events.length && batch.every((event, index) => event === events[index]), 'send() changed the list of events');
      deepStrictEqual(batch.map(contentOf), before, 'send() changed an event');
    }),
    contractTest('send() ends soon if its signal has aborted before', silent, async (transport) => {
      await settle(send(transport, [usageEvent(0)], AbortSignal.abort()), abortWithinMs);
    }),
    contractTest('send() ends soon after its signal aborts', silent, async (transport) => {
      await Promise.all(ABORT_AFTER_TURNS.map((turns) => abortAfter(transport, turns, abortWithinMs)));
    }),
    contractTest('sends at the same time are independent', makeTransport, async (transport) => {
      const controllers = Array.from({ length: SENDS_AT_ONCE }, () => new AbortController());
      const sends = controllers.map(({ signal }, index) => send(transport, [usageEvent(index)], signal));
      controllers[0]?.abort();
      const outcomes = await Promise.all(sends.map((sending) => settle(sending, settleWithinMs)));
      for (const { kind } of outcomes.slice(1)) ok(kind !== 'aborted', 'the signal of one send has aborted another send');
    }),
    contractTest('sends leave no listener on their signal', makeTransport, async (transport) => {
      const { signal } = new AbortController();
      for (let index = 0; index < SENDS_PER_SIGNAL; index += 1) await settle(send(transport, [usageEvent(index)], signal), settleWithinMs);
      const open = getEventListeners(signal, 'abort').length;
      ok(open <= 1, `${open} listeners on the signal after ${SENDS_PER_SIGNAL} sends`);
      await close(transport, settleWithinMs);
      const closed = getEventListeners(signal, 'abort').length;
      ok(closed === 0, `${closed} listeners on the signal after close()`);
    }),
    ...(arrived === undefined
      ? []
      : [
          contractTest('what was sent has arrived when close() has resolved', makeTransport, async (transport) => {
            const before = await arrived();
            const size = transport.maxBatchSize ?? 1;
            // Each event has an id of its own: an endpoint may drop a repeat.
            const batchOf = () => Array.from({ length: size }, (_, index) => usageEvent(index));
            const sends = Array.from({ length: SENDS_AT_ONCE }, () => send(transport, batchOf()));
            const outcomes = await Promise.all(sends.map((sending) => settle(sending, settleWithinMs, size)));
            await close(transport, settleWithinMs);
            const sent = outcomes.reduce((sum, outcome) => sum + sentOf(outcome, size), 0);
            const came = (await arrived()) - before;
            ok(came >= sent, `${sent} events were sent, and ${came} had arrived when close() had resolved`);
          }),
        ]),
    contractTest('close() may be called more than once', makeTransport, async (transport) => {
      await settle(send(transport, [usageEvent(0)]), settleWithinMs);
      await Promise.all([close(transport, settleWithinMs), close(transport, settleWithinMs)]);
      await close(transport, settleWithinMs);
    }),
    contractTest('close() may be called during a send whose signal has aborted', silent, async (transport) => {
      const controller = new AbortController();
      const sending = send(transport, [usageEvent(0)], controller.signal);
      // Handled below, and by then it may have rejected.
      sending.catch(() => undefined);
      await turnsOfTheLoop(1);
      controller.abort();
      await Promise.all([close(transport, settleWithinMs), settle(sending, abortWithinMs)]);
    }),
    {
      name: 'nothing holds the process after close()',
      run: async () => {
        const before = activeResources();
        const transport = await makeTransport();
        for (let index = 0; index < SENDS_AT_ONCE; index += 1) await settle(send(transport, [usageEvent(index)]), settleWithinMs);
        await close(transport, settleWithinMs);
        const deadline = performance.now() + releaseWithinMs;
        let left = newResources(before);
        while (left.length > 0 && performance.now() < deadline) {
          await turnsOfTheLoop(10);
          left = newResources(before);
        }
        ok(left.length === 0, `${left.join(', ')} still active ${releaseWithinMs} ms after close()`);
      },
    },
  ];
}

const HOUR_MS = 3_600_000;

/** The kinds of the metrics of {@link usageEvent}. */
const KINDS: ReadonlyMap<string, FieldKind> = new Map([
  ['status', 'oneOf'],
  ['task_count', 'count'],
  ['duration', 'duration'],
  ['cached', 'boolean'],
  ['selector', 'identifier'],
]);

/** An event as the emitter sends it. */
function usageEvent(index: number): UsageEvent {
  const metrics = { status: 'success', task_count: index, duration: 7.5, cached: true, selector: null };
  const query = `status=success&task_count=${index}&duration=7.5&cached=True&selector=None`;
  const timeMs = Date.UTC(2026, 0, 31, 22, 30) + index;
  const id = `${timeMs.toString(16).padStart(12, '0').replace(/^.{8}/, '$&-')}-7${randomUUID().slice(15)}`;
  return { id, timeMs, type: 'dag_run', metrics, requestTarget: () => `/v3/dag_run?${query}`, kindOf: (name) => KINDS.get(name) };
}

/** The size of an event by the transport. @throws AssertionError if it throws */
function sizeOf(transport: Transport, event: UsageEvent): unknown {
  try {
    return transport.bytesOf?.(event);
  } catch (error) {
    throw broken(`bytesOf() threw ${inspect(error)}`);
  }
}

/** How many events of a batch were sent. */
function sentOf(outcome: SendOutcome, events: number): number {
  if (outcome.kind === 'partial') return outcome.outcomes.filter(({ kind }) => kind === 'sent').length;
  return outcome.kind === 'sent' ? events : 0;
}

/** All that a transport can read of an event. */
function contentOf(event: UsageEvent): unknown {
  const metrics = Object.entries(event.metrics).map(([name, value]) => [name, value, event.kindOf?.(name)]);
  return { ...event, requestTarget: event.requestTarget(), kindOf: typeof event.kindOf, metrics };
}

/** Calls `send()`. @throws AssertionError if it throws */
function callSend(transport: Transport, events: readonly UsageEvent[], signal: AbortSignal): unknown {
  try {
    return transport.send(events, signal);
  } catch (error) {
    throw broken(`send() threw ${inspect(error)}`);
  }
}

/** Calls `send()`. Rejects with an AssertionError if it throws or rejects. */
async function send(
  transport: Transport,
  events: readonly UsageEvent[],
  signal: AbortSignal = new AbortController().signal,
): Promise<unknown> {
  const sending = callSend(transport, events, signal);
  try {
    return await sending;
  } catch (error) {
    throw broken(`send() rejected with ${inspect(error)}`);
  }
}

/** The outcome of a send. Rejects with an AssertionError if there is none in time, or if it is not valid. */
async function settle(sending: Promise<unknown>, limitMs: number, events = 1): Promise<SendOutcome> {
  const value = await inTime(sending, limitMs, 'send()');
  const outcome = outcomeOf(value, events);
  // The outcome of a value that is not valid is this very object.
  ok(outcome !== TRANSPORT_ERROR, `send() settled with ${inspect(value)}, which is not a valid outcome`);
  return outcome;
}

/** Aborts a send. */
async function abortAfter(transport: Transport, turns: number, limitMs: number): Promise<void> {
  const controller = new AbortController();
  const sending = send(transport, [usageEvent(turns)], controller.signal);
  // Handled below, and by then it may have rejected.
  sending.catch(() => undefined);
  await turnsOfTheLoop(turns);
  controller.abort();
  await settle(sending, limitMs);
}

async function close(transport: Transport, limitMs: number): Promise<void> {
  const closing = (async () => {
    try {
      await transport.close?.();
    } catch (error) {
      throw broken(`close() failed with ${inspect(error)}`);
    }
  })();
  await inTime(closing, limitMs, 'close()');
}

/** Ends a test: `close()` has separate tests. */
async function closeQuietly(transport: Transport, limitMs: number): Promise<void> {
  await close(transport, limitMs).catch(() => undefined);
}

async function inTime<T>(work: Promise<T>, limitMs: number, what: string): Promise<T> {
  const { expired, cancel } = expire(limitMs);
  try {
    return await Promise.race([
      work,
      expired.then(() => {
        throw broken(`${what} has not settled after ${limitMs} ms`);
      }),
    ]);
  } finally {
    cancel();
  }
}

/** A timer as a promise. It holds the process, which the transport does not. */
function expire(limitMs: number): { expired: Promise<void>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  return { expired, cancel: () => clearTimeout(timer) };
}

async function turnsOfTheLoop(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}

/** What keeps the event loop alive, by type. */
function activeResources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}

/** The types of which there are more than before. */
function newResources(before: ReadonlyMap<string, number>): string[] {
  return [...activeResources()].filter(([type, count]) => count > (before.get(type) ?? 0)).map(([type]) => type);
}

function broken(message: string): AssertionError {
  return new AssertionError({ message });
}

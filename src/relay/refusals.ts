/**
 * Refusals: answers that say no, and may not be about the event. An intermediary can give them: an edge whose origin is away, a captive
 * portal, a gateway with a wrong setting. So no single one is final.
 *
 * - A *refusal* is any status but 2xx, a redirect that is not followed, an answer that is no HTTP, or a proxy setting that sends nothing.
 *   Its event steps aside: it goes back to the store, marked as waiting, and the next event is tried. It has its turn again after a backoff
 *   of its own.
 * - *Come later* is 408, 425, 429, and `Retry-After` on a status that can be retried. All sending waits, as asked or by the backoff; then
 *   other events go first. It is never a verdict.
 * - An event is *failed* if it is refused again after another was accepted. The other was sent after it, so that requests in flight
 *   together when an outage starts are no evidence; and each acceptance counts against one event only.
 * - Three different events refused, with none accepted in between: sending *pauses*. All events are kept and nothing is final. One event
 *   at a time is tried, at backoff intervals: first one that was not refused yet, then the one whose turn is the longest ago. The first
 *   acceptance ends the pause.
 * - If an event that was refused is accepted later, the refusals are *not about events* at this time. For ten times `maxBackoffMs` it then
 *   takes ten refusals instead of two to fail.
 *
 * A *batch* that is refused as a whole says nothing of any one event: its events go back, and half as many go together next, down to one,
 * to which the rules above apply. Each batch that is accepted doubles the number again. What an endpoint says of single events of a batch
 * it accepted is its own word: it is final.
 *
 * This is memory of the process only. After a restart every event is new: it is tried at least twice more before it fails.
 */
import { decorate, TRANSPORT_ERROR } from '../delivery/transport.js';
import type { EventOutcome, SendOutcome, Transport } from '../delivery/transport.js';
import type { StoredEvent } from '../delivery/relay-store.js';
import { backoffWaitMs } from './backoff.js';
import type { BackoffOptions } from './backoff.js';
import type { RelayLog } from './log.js';
import type { RelayedEvent } from './relayed-event.js';

/** What it needs. */
interface RefusalsOptions extends BackoffOptions {
  log: RelayLog;
  /** Called when a pause ends, before the event that ended it is accounted for. */
  onResumed: () => void;
}

/** The relay pauses when this many different events are refused with none accepted in between. */
const REFUSALS_IN_A_ROW = 3;

/** An event fails with this refusal, if another event was accepted before each but the first. */
const FINAL_REFUSAL = 2;

/** The same while refusals are known not to be about events: if every second attempt is refused, one event in a thousand fails. */
const FINAL_REFUSAL_IN_DOUBT = 10;

/** How long refusals are known not to be about events, in longest backoffs: longer than an event takes to be refused ten times. */
const DOUBT_BACKOFFS = 10;

/** An event that is not tried before others. */
interface Aside {
  /** Refusals that count. 0 if the endpoint only said to come later. */
  readonly refusals: number;
  /** Attempts since it stepped aside first. */
  readonly tries: number;
  /** The number of its last attempt. */
  readonly attempt: number;
  /** When it has its turn again. */
  dueAtMs: number;
}

/** The next event, or how long to wait for one. */
export type Turn = { readonly event: StoredEvent } | { readonly waitMs: number };

/** Judges the answers to a relay's events, and decides whose turn it is. */
export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #aside = new Map<number, Aside>();
  /** Numbers the attempts. */
  #attempts = 0;
  /** The latest attempt that was accepted. */
  #acceptedAttempt = 0;
  /** Acceptances that no event has failed by yet. */
  #acceptances = 0;
  /** Whether an event stepped aside or failed after the last acceptance: then new events go first. */
  #isRefusing = false;
  /** An event that stepped aside, and is tried before others now. */
  #suspect: number | undefined;
  /** Different events that were refused and kept since the last acceptance. */
  readonly #inARow = new Set<number>();
  #isPaused = false;
  /** The latest attempt when the pause began: attempts in flight by then are no probes. */
  #pausedAtAttempt = 0;
  #failedProbes = 0;
  #probeAtMs = 0;
  #inDoubtUntilMs = 0;
  /** The most events of a batch. */
  #maxTogether = Infinity;
  /** Refused batches since the last one that was accepted. */
  #refusedBatches = 0;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Whether sending pauses because the endpoint refuses events: one event is tried at a time. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The most events that are aside. */
  get size(): number {
    return this.#aside.size;
  }

  isAside(seq: number): boolean {
    return this.#aside.has(seq);
  }

  /** The most events that may go together. */
  get maxTogether(): number {
    return this.#maxTogether;
  }

  /** Judges what the inner transport returns. */
  judge(inner: Transport): Transport {
    return decorate(inner, async (events, signal) => {
      const { seq } = events[0] as RelayedEvent;
      this.#attempts += 1;
      const attempt = this.#attempts;
      const outcome = await inner.send(events, signal);
      if (events.length > 1) return this.#judgeBatch(events.length, seq, attempt, outcome);
      return this.#judge(seq, attempt, outcome.kind === 'partial' ? (outcome.outcomes[0] ?? TRANSPORT_ERROR) : outcome);
    });
  }

  /** @param waiting The oldest events of the store, in order: one more than `size`, so that a new one is among them if there is one. */
  next(waiting: readonly StoredEvent[]): Turn {
    const nowMs = this.#options.clock.now();
    if (this.#isPaused && nowMs < this.#probeAtMs) return { waitMs: this.#probeAtMs - nowMs };
    const mayRetry = !this.#isPaused && !this.#isRefusing && this.#suspect === undefined;
    const first = waiting.find(({ seq }) => !this.#aside.has(seq) || (mayRetry && this.#dueAtMs(seq) <= nowMs));
    const event = first ?? earliest(waiting, ({ seq }) => this.#dueAtMs(seq));
    if (event === undefined) return { waitMs: 0 };
    const waitMs = this.#dueAtMs(event.seq) - nowMs;
    if (waitMs > 0 && !this.#isPaused) return { waitMs };
    if (this.#aside.has(event.seq)) this.#suspect = event.seq;
    return { event };
  }

  /** Gives every event its turn now: the relay closes, and this is the last chance to send. */
  hurry(): void {
    this.#probeAtMs = 0;
    for (const aside of this.#aside.values()) aside.dueAtMs = 0;
  }

  /** Forgets events that are gone: all before this one. */
  forgetBefore(oldestSeq: number): void {
    for (const seq of this.#aside.keys()) if (seq < oldestSeq) this.#aside.delete(seq);
  }

  #dueAtMs(seq: number): number {
    return this.#aside.get(seq)?.dueAtMs ?? -Infinity;
  }

  /** @param seq Of one of its events, none of which is aside. */
  #judgeBatch(events: number, seq: number, attempt: number, outcome: SendOutcome): SendOutcome {
    if (outcome.kind === 'partial') {
      if (outcome.outcomes.some(({ kind }) => kind === 'sent')) this.#acceptBatch(events, seq, attempt);
      return { kind: 'partial', outcomes: outcome.outcomes.map((each) => this.#later(each)) };
    }
    const meaning = meaningOf(outcome);
    if (meaning === 'accepted') this.#acceptBatch(events, seq, attempt);
    if (meaning !== 'refused' && !(meaning === 'later' && outcome.kind === 'rejected')) return outcome;
    if (meaning === 'refused') this.#maxTogether = Math.max(1, Math.min(this.#maxTogether, Math.floor(events / 2)));
    this.#refusedBatches += 1;
    const { reason } = outcome as { reason: string };
    return { kind: 'deferred', waitMs: backoffWaitMs(this.#refusedBatches, this.#options), reason };
  }

  /** An event that its endpoint did not take now, of a batch that it answered. */
  #later(outcome: EventOutcome): EventOutcome {
    if (outcome.kind !== 'retryable') return outcome;
    return { kind: 'deferred', waitMs: backoffWaitMs(1, this.#options), reason: outcome.reason };
  }

  #acceptBatch(events: number, seq: number, attempt: number): void {
    this.#refusedBatches = 0;
    if (events * 2 > this.#maxTogether) this.#maxTogether *= 2;
    this.#accept(seq, attempt);
  }

  #judge(seq: number, attempt: number, outcome: EventOutcome): EventOutcome {
    if (this.#suspect === seq) this.#suspect = undefined;
    const meaning = meaningOf(outcome);
    if (meaning === 'refused') return this.#refuse(seq, attempt, (outcome as { reason: string }).reason);
    if (meaning === 'later') this.#stepAside(seq, attempt, this.#aside.get(seq)?.refusals ?? 0);
    else if (meaning === 'accepted') this.#acceptBatch(1, seq, attempt);
    else if (meaning === 'over') this.#aside.delete(seq);
    return outcome;
  }

  #accept(seq: number, attempt: number): void {
    const { clock, log, maxBackoffMs, onResumed } = this.#options;
    this.#acceptedAttempt = Math.max(this.#acceptedAttempt, attempt);
    this.#acceptances += 1;
    this.#isRefusing = false;
    this.#inARow.clear();
    if ((this.#aside.get(seq)?.refusals ?? 0) > 0) {
      this.#inDoubtUntilMs = clock.now() + DOUBT_BACKOFFS * maxBackoffMs;
      // After an outage these are most of the events.
      for (const {
        0: each,
        1: { refusals },
      } of this.#aside)
        if (refusals <= 1) this.#aside.delete(each);
    }
    this.#aside.delete(seq);
    if (!this.#isPaused) return;
    this.#isPaused = false;
    log.info('resumed', 'the endpoint accepts events again: sending goes on');
    onResumed();
  }

  #refuse(seq: number, attempt: number, reason: string): EventOutcome {
    const { attempt: lastAttempt = Infinity, refusals: before = 0 } = this.#aside.get(seq) ?? {};
    const isCounted = before === 0 || this.#acceptedAttempt > lastAttempt;
    const refusals = isCounted ? before + 1 : before;
    const finalRefusal = this.#options.clock.now() < this.#inDoubtUntilMs ? FINAL_REFUSAL_IN_DOUBT : FINAL_REFUSAL;
    if (isCounted && refusals >= finalRefusal && this.#acceptances > 0) {
      this.#acceptances -= 1;
      this.#isRefusing = true;
      this.#aside.delete(seq);
      return { kind: 'rejected', reason };
    }
    this.#stepAside(seq, attempt, refusals);
    if (!this.#isPaused) this.#countInARow(seq, reason);
    else if (attempt > this.#pausedAtAttempt) this.#probeLater();
    return { kind: 'deferred', waitMs: 0, reason };
  }

  #stepAside(seq: number, attempt: number, refusals: number): void {
    this.#isRefusing = true;
    const tries = (this.#aside.get(seq)?.tries ?? 0) + 1;
    const dueAtMs = this.#options.clock.now() + backoffWaitMs(tries, this.#options);
    this.#aside.set(seq, { refusals, tries, attempt, dueAtMs });
  }

  #countInARow(seq: number, reason: string): void {
    this.#inARow.add(seq);
    if (this.#inARow.size < REFUSALS_IN_A_ROW) return;
    this.#isPaused = true;
    this.#pausedAtAttempt = this.#attempts;
    this.#acceptances = 0;
    this.#failedProbes = 0;
    this.#probeLater();
    const text = `the endpoint refused ${REFUSALS_IN_A_ROW} different events in a row, the last one with ${reason}`;
    this.#options.log.warn('paused', `${text}: events are kept, and one at a time is tried until one is accepted`);
  }

  #probeLater(): void {
    this.#failedProbes += 1;
    this.#probeAtMs = this.#options.clock.now() + backoffWaitMs(this.#failedProbes, this.#options);
  }
}

function earliest(events: readonly StoredEvent[], dueAtMs: (event: StoredEvent) => number): StoredEvent | undefined {
  let first: StoredEvent | undefined;
  for (const event of events) if (first === undefined || dueAtMs(event) < dueAtMs(first)) first = event;
  return first;
}

/** The statuses that say "not now", and nothing of the event. */
const COME_LATER: ReadonlySet<string> = new Set(['http_408', 'http_425', 'http_429']);
/** Reason of an attempt whose answer is no HTTP. */
export const NOT_HTTP_REASON = 'not_http';
const REFUSED = new RegExp(`^(?:http_\\d+|redirect_refused|proxy_invalid|${NOT_HTTP_REASON})$`);

/** What an outcome says of its event. `none`: it was not answered, and is still to be sent. `over`: nothing follows it. */
function meaningOf(outcome: EventOutcome): 'accepted' | 'refused' | 'later' | 'none' | 'over' {
  if (outcome.kind === 'sent') return 'accepted';
  if (outcome.kind === 'aborted' || outcome.kind === 'refused') return 'over';
  if (!REFUSED.test(outcome.reason)) return outcome.kind === 'rejected' ? 'over' : 'none';
  return outcome.kind === 'deferred' || COME_LATER.has(outcome.reason) ? 'later' : 'refused';
}

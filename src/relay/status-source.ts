/** Gathers what the status of a relay is made from. It works when it is asked, once a minute, and when an opt-out appears. */
import { COSMOS } from '../base/constants.js';
import type { Clock, Timer } from '../base/clock.js';
import type { MachineAccess } from '../base/machine.js';
import { packageVersion } from '../base/package-version.js';
import type { Gate } from '../opt-out/gate.js';
import { ruleWords } from '../opt-out/rule-words.js';
import { isKnownOptOut } from '../opt-out/rule.js';
import type { Question, Rule } from '../opt-out/rule.js';
import { explainSettings } from '../opt-out/settings.js';
import type { Settings } from '../opt-out/settings.js';
import { rulesLater, SOURCES } from '../opt-out/sources.js';
import { debugMode } from '../opt-out/variables.js';
import type { RelayCore } from './core.js';
import type { RelaySettings } from './options.js';
import { statusOf } from './status.js';
import type { RelayStatus, StatusMinute } from './status.js';
import type { Relay, RelayStats } from './types.js';

const MINUTE_MS = 60_000;

/** How many whole minutes are kept. */
const KEPT_MINUTES = 60;

type Counts = Omit<StatusMinute, 'at'>;

const COUNTS = ['accepted', 'sent', 'failed', 'dropped'] as const satisfies readonly (keyof Counts)[];

/**
 * The counts of the last hour, by minutes of the wall clock. A timer reads the counters once a minute, so an event costs nothing. Between
 * two minutes the time is that of the clock that nobody sets: no minute is lost or twice there when the wall clock is set.
 */
export class MinuteHistory {
  readonly #clock: Clock;
  readonly #read: () => Counts;
  /** The whole minutes, oldest first. */
  readonly #whole: Counts[] = [];
  /** The counters at the start of the current minute. */
  #before: Counts;
  /** When the current minute ends, by `now()` of the clock. */
  #endsAtMs: number;
  #timer: Timer | undefined;
  #isStopped = false;

  /** @param read The counters since the start of the process. */
  constructor(clock: Clock, read: () => Counts) {
    this.#clock = clock;
    this.#read = read;
    this.#before = read();
    this.#endsAtMs = clock.now() + MINUTE_MS - (clock.wallNow() % MINUTE_MS);
    this.#schedule();
  }

  /** The last 60 whole minutes and the current one, oldest first. */
  minutes(): StatusMinute[] {
    this.#roll();
    const currentAtMs = this.#clock.wallNow() - (this.#clock.now() - this.#endsAtMs) - MINUTE_MS;
    const all = [...this.#whole, difference(this.#read(), this.#before)];
    return all.map((counts, index) => {
      const atMs = currentAtMs - (all.length - 1 - index) * MINUTE_MS;
      return { at: new Date(Math.round(atMs / MINUTE_MS) * MINUTE_MS).toISOString(), ...counts };
    });
  }

  /** Sets no further timer. */
  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
  }

  /** Closes the minutes that are over. What was counted since the last look belongs to the first of them. */
  #roll(): void {
    const nowMs = this.#clock.now();
    if (nowMs < this.#endsAtMs) return;
    const counts = this.#read();
    const over = 1 + Math.floor((nowMs - this.#endsAtMs) / MINUTE_MS);
    this.#whole.push(difference(counts, this.#before));
    for (let empty = Math.min(over - 1, KEPT_MINUTES); empty > 0; empty -= 1) this.#whole.push(difference(counts, counts));
    this.#whole.splice(0, Math.max(0, this.#whole.length - KEPT_MINUTES));
    this.#before = counts;
    this.#endsAtMs += over * MINUTE_MS;
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = this.#clock.setTimeout(() => {
      this.#roll();
      this.#schedule();
    }, this.#endsAtMs - this.#clock.now());
    this.#timer.unref();
  }
}

function difference(after: Counts, before: Counts): Counts {
  const between = { accepted: 0, sent: 0, failed: 0, dropped: 0 };
  for (const name of COUNTS) between[name] = after[name] - before[name];
  return between;
}

/** What a source of statuses needs. */
interface StatusSourceOptions {
  readonly relay: Pick<Relay, 'stats'>;
  readonly core: Pick<RelayCore, 'record' | 'notReady' | 'isUndecided' | 'hasFreeDescriptor'>;
  readonly settings: RelaySettings;
  /** Whether the option `store` is given. */
  readonly hasStore: boolean;
  readonly gate: Gate;
  readonly question: Question;
  /** What the opt-outs said at the start. */
  readonly optOuts: Settings;
  readonly machine: MachineAccess;
}

/** Makes the status of a relay whenever it is asked. */
export class StatusSource {
  readonly #options: StatusSourceOptions;
  readonly #endpoint: string;
  readonly #dagFactoryEndpoint: string | undefined;
  readonly #isDebug: boolean;
  readonly #startedAtMs: number;
  readonly #startedAtWallMs: number;
  #history: MinuteHistory | undefined;
  #closingSinceMs: number | undefined;
  #optedOutSinceMs: number | undefined;
  #optedOutBy: string | undefined;

  constructor(options: StatusSourceOptions) {
    const { gate, machine, optOuts, settings } = options;
    const { clock } = machine;
    this.#options = options;
    this.#endpoint = shownEndpoint(settings.forward);
    this.#dagFactoryEndpoint = settings.forwardDagFactory && shownEndpoint(settings.forwardDagFactory);
    this.#isDebug = debugMode(COSMOS, settings.env) !== undefined;
    this.#startedAtMs = clock.now();
    this.#startedAtWallMs = clock.wallNow();
    gate.whenShut(this.#onOptOut);
    if (gate.state !== 'shut') return;
    this.#optedOutSinceMs = this.#startedAtWallMs;
    const { 0: rule } = explainSettings(optOuts).rules;
    this.#optedOutBy = rule && ruleWords(rule);
  }

  /** Begins the history of minutes, once. */
  start(): void {
    if (this.#closingSinceMs !== undefined) return;
    const { machine, relay } = this.#options;
    this.#history ??= new MinuteHistory(machine.clock, () => relay.stats());
  }

  /** To be called when the relay closes. */
  close(): void {
    this.#closingSinceMs ??= this.#options.machine.clock.wallNow();
    this.#history?.stop();
  }

  /** The status now. Never throws. */
  status(): RelayStatus {
    const { core, hasStore, machine, relay, settings } = this.#options;
    const { clock } = machine;
    const stats = relay.stats();
    return statusOf({
      version: packageVersion(),
      nowMs: clock.wallNow(),
      startedAtMs: this.#startedAtWallMs,
      uptimeMs: clock.now() - this.#startedAtMs,
      stats,
      delivery: core.record,
      notReady: core.notReady(),
      isUndecided: core.isUndecided,
      closingSinceMs: this.#closingSinceMs,
      optedOutSinceMs: this.#optedOutSinceMs,
      optedOutBy: this.#optedOutBy,
      endpoint: this.#endpoint,
      dagFactoryEndpoint: this.#dagFactoryEndpoint,
      forwardKind: settings.forwardsLines ? 'ndjson' : 'cosmos',
      spoolKind: kindOf(stats, settings, hasStore),
      maxAgeMs: settings.maxAgeMs,
      hasFreeDescriptor: core.hasFreeDescriptor,
      isDebug: this.#isDebug,
      minutes: this.#history?.minutes() ?? [],
    });
  }

  readonly #onOptOut = (): void => {
    this.#optedOutSinceMs = this.#options.machine.clock.wallNow();
    void this.#findOptOut();
  };

  /** Finds the rule that has just shut the gate. Without blocking: a disk that hangs must delay nothing. Never rejects. */
  async #findOptOut(): Promise<void> {
    const { machine, question } = this.#options;
    const { platform, readFileLater = noFile } = machine;
    // Not airflow.cfg, which is read once since it holds secrets.
    const sources = SOURCES.filter(({ rereads }) => rereads === 'always');
    const rules = await rulesLater(sources, question, { readFile: readFileLater, platform, log: undefined });
    const found = rules.find(isKnownOptOut) ?? rules.find(({ optsOut }) => optsOut);
    this.#optedOutBy = found && ruleWords(known(found));
  }
}

function shownEndpoint(forward: string): string {
  const { origin, pathname } = new URL(forward);
  return origin + pathname.replace(/\/$/, '');
}

/** A rule whose file stayed malformed counts as an opt-out: that it could change is over. */
function known({ name, value, optsOut, source }: Rule): Rule {
  return { name, value, optsOut, source };
}

function noFile(): Promise<never> {
  return Promise.reject(Object.assign(new Error('no file is read'), { code: 'ENOENT' }));
}

function kindOf({ store }: RelayStats, { spool }: RelaySettings, hasStore: boolean): RelayStatus['spool']['kind'] {
  if (store.queue !== undefined) return 'queue';
  if (spool !== undefined) return 'disk';
  return hasStore && store.isDurable ? 'disk' : 'memory';
}

/*
 * A person's consent: what is known of it, and how a program records or asks for it.
 */
import { checkOptions, withMethods } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { describe, errorCode, placeName } from '../base/describe.js';
import { readConfigFile } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import { late } from '../delivery/late.js';
import type * as ConsentActs from '../opt-out/consent-acts.js';
import type { ConsentQuestion, ConsentReport, ConsentState } from '../opt-out/consent-acts.js';
import type { OpenQuestion } from '../opt-out/consent-ask.js';
import type { Gate } from '../opt-out/gate.js';
import type { Question, Rule } from '../opt-out/rule.js';
import { explainSettings, settingsFor, shouldEmit } from '../opt-out/settings.js';
import { saysYes } from '../opt-out/sources.js';
import { configFilePath, readTelemetryJson } from '../opt-out/telemetry-json.js';

/**
 * The consent of the person who runs the program.
 *
 * @example
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * const consent: Consent = telemetry.consent;
 * console.log(consent.state, consent.rule.name); // unasked default
 */
export interface Consent {
  /** What is known now. Each access reads the environment and the config files, which blocks: do not ask in a hook. */
  readonly state: ConsentState;
  /** The rule behind `state`, as `explainSettings` gives it first. Each access reads the files. */
  readonly rule: Rule;
  /**
   * Writes a person's answer into the config file, as the commands `enable` and `disable` do. Call it with the answer of a person only. A
   * no holds at once: what waits is dropped. A yes holds from the next start for a client that was off, since an opt-out is final while a
   * program runs.
   *
   * @returns Resolves with the state afterwards. Never rejects: `problem` says why nothing could be written.
   * @throws TypeError for anything but true or false.
   */
  record(yes: boolean): Promise<ConsentReport>;
  /**
   * Asks on a terminal, if nobody has answered yet, and records the answer. `y` and `yes` are a yes; `n`, `no` and an empty line are a no.
   * After anything else it asks once more. Without an answer (something else again, or Ctrl-D) nothing is recorded, the state stays
   * `unasked`, and telemetry stays off while the program runs. Ctrl-C interrupts the program as it does elsewhere; one that goes on
   * ends the question by `close()`, and nothing is recorded. Nobody is asked without a terminal on both sides, or on a build server (`CI`).
   * It waits as long as the person does; nothing else should read the input meanwhile.
   *
   * @returns Resolves with the state afterwards. Never rejects.
   * @throws TypeError naming option and value, for a wrong or unknown option.
   */
  ask(options: ConsentQuestion): Promise<ConsentReport>;
}

/** What the consent of a client needs. @internal */
export interface ConsentOptions {
  readonly question: Question;
  readonly gate: Gate;
  readonly machine: Pick<MachineAccess, 'readFile' | 'platform'>;
  /** The product's telemetry command; undefined if it names none. */
  readonly command: string | undefined;
  /** Where events go; undefined if the program has its own transport. */
  readonly endpoint: () => string | undefined;
}

const loadConsentActs = late<typeof ConsentActs>('consentActs', () => import('../opt-out/consent-acts.js'));

const A_QUESTION: Check = ['a text', (value) => typeof value === 'string' && value.trim() !== ''];
const CHECKS: Checks<ConsentQuestion> = { input: withMethods('on', 'off', 'pause'), output: withMethods('write'), question: A_QUESTION };

/** @internal */
export class PersonConsent implements Consent {
  readonly #options: ConsentOptions;
  #asking: Promise<ConsentReport> | undefined;
  #open: OpenQuestion | undefined;

  constructor(options: ConsentOptions) {
    this.#options = options;
  }

  get state(): ConsentState {
    return this.#look().state;
  }

  get rule(): Rule {
    return this.#look().rule;
  }

  record(yes: boolean): Promise<ConsentReport> {
    if (typeof yes !== 'boolean') throw new TypeError(`Expected \`yes\` to be true or false, got ${describe(yes)}.`);
    // It holds whatever becomes of the file.
    if (!yes) this.#options.gate.optOut();
    return this.#run(({ recordConsent }, parts) => recordConsent(yes, parts), yes);
  }

  ask(options: ConsentQuestion): Promise<ConsentReport> {
    const checked = checkOptions<ConsentQuestion>('options', options, CHECKS);
    for (const name of ['input', 'output'] as const) {
      if (checked[name] === undefined) throw new TypeError(`Expected \`${name}\` to be ${CHECKS[name][0]}, got undefined.`);
    }
    // A second question beside the first would share its terminal.
    if (this.#asking !== undefined) return this.#asking;
    const open = { isEnded: false, onEnd: () => {} };
    this.#open = open;
    this.#asking = this.#run(({ askConsent }, parts) => askConsent(checked, parts, open)).finally(() => {
      this.#asking = undefined;
      this.#open = undefined;
    });
    return this.#asking;
  }

  /** Ends a question that is open. Nothing is recorded. */
  endQuestion(): void {
    if (this.#open === undefined) return;
    this.#open.isEnded = true;
    this.#open.onEnd();
  }

  async #run(
    act: (acts: typeof ConsentActs, parts: ConsentActs.ConsentParts) => Promise<ConsentReport>,
    answer?: boolean,
  ): Promise<ConsentReport> {
    const { question, gate, machine, command, endpoint } = this.#options;
    const { platform = process.platform } = machine;
    try {
      const file = configFilePath(question.product, question.env, platform);
      const tools = { errorCode, placeName, readConfigFile, readTelemetryJson };
      const optOut = (): void => gate.optOut();
      return await act(await loadConsentActs(), {
        ...question,
        file,
        platform,
        look: () => this.#look(),
        command,
        endpoint,
        optOut,
        tools,
      });
    } catch {
      const problem = answer === undefined ? undefined : 'the config file cannot be written now';
      return { ...this.#look(), answer, file: undefined, problem };
    }
  }

  #look(): { state: ConsentState; rule: Rule } {
    const { question, machine } = this.#options;
    const settings = settingsFor(question, { readFile: machine.readFile, platform: machine.platform, log: undefined });
    const { enabled, rules } = explainSettings(settings);
    const [rule = NO_RULE] = rules;
    const refused = shouldEmit(settings) || rule.name === 'consent' ? 'unasked' : 'refused';
    return { state: enabled && rules.some(saysYes) ? 'given' : refused, rule };
  }
}

const NO_RULE: Rule = { name: 'default', value: 'enabled', optsOut: false, source: { kind: 'default' } };

/*
 * A person's consent: what is known of it, and how a program records or asks for it.
 */
import { checkOptions, withMethods } from '../base/check-options.js';
import type { Check, Checks } from '../base/check-options.js';
import { describe, errorCode, placeName } from '../base/describe.js';
import { readConfigFile } from '../base/machine.js';
import type { MachineAccess } from '../base/machine.js';
import { late } from '../delivery/late.js';
import type * as ConfigWrite from '../opt-out/config-write.js';
import type * as ConsentAsk from '../opt-out/consent-ask.js';
import type { ConsentInput, ConsentOutput } from '../opt-out/consent-ask.js';
import type { Gate } from '../opt-out/gate.js';
import type { Question, Rule } from '../opt-out/rule.js';
import { explainSettings, settingsFor, shouldEmit } from '../opt-out/settings.js';
import { saysYes } from '../opt-out/sources.js';
import { configFilePath, readTelemetryJson } from '../opt-out/telemetry-json.js';

/**
 * What is known of a person's consent.
 *
 * - `given`: the person said yes, in the environment or in the config file, and nothing opts out.
 * - `refused`: something opts out, or a file that may opt out cannot be read. The person is not asked.
 * - `unasked`: nobody has said yes or no.
 */
export type ConsentState = 'given' | 'refused' | 'unasked';

/** What `record()` and `ask()` report. */
export interface ConsentReport {
  /** The state afterwards. After a recorded yes it is `refused` all the same while something else opts out. */
  readonly state: ConsentState;
  /** The rule that decides. */
  readonly rule: Rule;
  /** What the person answered now; undefined if nobody was asked, or the input ended before an answer. */
  readonly answer: boolean | undefined;
  /** The config file; undefined if the environment has no folder for it. */
  readonly file: string | undefined;
  /** Why the answer could not be written, in one sentence that may be shown; undefined if it was. It names the file. */
  readonly problem: string | undefined;
}

/** Options of `ask()`. */
export interface ConsentQuestion {
  /** @example process.stdin */
  input: ConsentInput;
  /** @example process.stdout */
  output: ConsentOutput;
  /** The question in your own words; ` [y/N] ` is appended. @default a question that names the product and the host of the endpoint */
  question?: string | undefined;
}

/** The consent of the person who runs the program. */
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
   * Asks on a terminal, if nobody has answered yet, and records the answer. Only `y` and `yes` are a yes; an empty line is a no. Nobody is
   * asked without a terminal on both sides, or on a build server (`CI`). If the input ends first, nothing is recorded. It waits as
   * long as the person does.
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
  /** Where events go; undefined if the program has its own transport. */
  readonly endpoint: () => string | undefined;
}

const loadConfigWrite = late<typeof ConfigWrite>('configWrite', () => import('../opt-out/config-write.js'));
const loadConsentAsk = late<typeof ConsentAsk>('consentAsk', () => import('../opt-out/consent-ask.js'));

const A_QUESTION: Check = ['a text', (value) => typeof value === 'string' && value.trim() !== ''];
const CHECKS: Checks<ConsentQuestion> = { input: withMethods('on', 'off', 'pause'), output: withMethods('write'), question: A_QUESTION };

/** @internal */
export class PersonConsent implements Consent {
  readonly #options: ConsentOptions;
  #asking: Promise<ConsentReport> | undefined;

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
    return this.#record(yes);
  }

  ask(options: ConsentQuestion): Promise<ConsentReport> {
    const checked = checkOptions<ConsentQuestion>('options', options, CHECKS);
    for (const name of ['input', 'output'] as const) {
      if (checked[name] === undefined) throw new TypeError(`Expected \`${name}\` to be ${CHECKS[name][0]}, got undefined.`);
    }
    // A second question beside the first would share its terminal.
    this.#asking ??= this.#ask(checked).finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  #look(): { state: ConsentState; rule: Rule } {
    const { question, machine } = this.#options;
    const settings = settingsFor(question, { readFile: machine.readFile, platform: machine.platform, log: undefined });
    const { enabled, rules } = explainSettings(settings);
    const [rule = NO_RULE] = rules;
    const refused = shouldEmit(settings) || rule.name === 'consent' ? 'unasked' : 'refused';
    return { state: enabled && rules.some(saysYes) ? 'given' : refused, rule };
  }

  async #record(yes: boolean): Promise<ConsentReport> {
    const { question, gate, machine } = this.#options;
    const { platform = process.platform } = machine;
    if (!yes) gate.optOut();
    let file: string | undefined;
    let problem: string | undefined;
    try {
      const { noPlaceWords, writeConsent } = await loadConfigWrite();
      file = configFilePath(question.product, question.env, platform);
      if (file === undefined) problem = noPlaceWords(platform);
      else writeConsent(file, yes, { errorCode, placeName, readConfigFile, readTelemetryJson });
    } catch (error) {
      const { name, message } = Object(error) as Partial<Error>;
      problem = name === 'ConfigWriteError' && message !== undefined ? message : 'the config file cannot be written now';
    }
    return { ...this.#look(), answer: yes, file, problem };
  }

  async #ask({ input, output, question: own }: ConsentQuestion): Promise<ConsentReport> {
    const { question } = this.#options;
    const known = this.#look();
    const nothing = { ...known, answer: undefined, file: this.#file(), problem: undefined };
    if (known.state !== 'unasked') return nothing;
    try {
      const { askYesOrNo, mayAsk } = await loadConsentAsk();
      if (!mayAsk(input, output, question.env)) return nothing;
      const endpoint = this.#options.endpoint();
      const to = endpoint === undefined ? '' : ` to ${new URL(endpoint).host}`;
      const answer = await askYesOrNo(own ?? `May ${question.product} report how it is used${to}?`, input, output);
      return answer === undefined ? nothing : await this.#record(answer);
    } catch {
      return nothing;
    }
  }

  #file(): string | undefined {
    try {
      return configFilePath(this.#options.question.product, this.#options.question.env, this.#options.machine.platform ?? process.platform);
    } catch {
      return undefined;
    }
  }
}

const NO_RULE: Rule = { name: 'default', value: 'enabled', optsOut: false, source: { kind: 'default' } };

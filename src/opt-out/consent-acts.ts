/*
 * Records a person's consent, and asks for it. It is loaded late, and what it shares with the library comes in as a parameter.
 */
import type { Environment, Platform } from '../base/platform-types.js';
import { noPlaceWords, writeConsent } from './config-write.js';
import type { ConfigTools } from './config-write.js';
import { askYesOrNo, mayAsk } from './consent-ask.js';
import type { ConsentInput, ConsentOutput, OpenQuestion } from './consent-ask.js';
import type { Rule } from './rule.js';

/**
 * What is known of a person's consent.
 *
 * - `given`: the person said yes, in the environment or in the config file, and nothing opts out.
 * - `refused`: something opts out, or a file that may opt out cannot be read. The person is not asked.
 * - `unasked`: nobody has said yes or no.
 *
 * @example
 * const isSettled = (state: ConsentState) => state !== 'unasked';
 * console.log(isSettled('refused')); // true
 */
export type ConsentState = 'given' | 'refused' | 'unasked';

/**
 * What `record()` and `ask()` report.
 *
 * @example
 * const { consent } = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * const { state, problem }: ConsentReport = await consent.record(false);
 * console.log(state, problem); // refused undefined
 */
export interface ConsentReport {
  /** The state afterwards. After a recorded yes it is `refused` all the same while something else opts out. */
  readonly state: ConsentState;
  /** The rule that decides. */
  readonly rule: Rule;
  /** What the person answered now; undefined if nobody was asked, or there was no answer. */
  readonly answer: boolean | undefined;
  /** The config file; undefined if the environment has no folder for it. */
  readonly file: string | undefined;
  /** Why the answer could not be written, in one sentence that may be shown; undefined if it was. It names the file. */
  readonly problem: string | undefined;
}

/**
 * Options of `ask()`.
 *
 * @example
 * const { consent } = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, endpoint: 'https://telemetry.acme.example' });
 * const question: ConsentQuestion = { input: process.stdin, output: process.stdout, question: 'May acme count its runs?' };
 * const { answer } = await consent.ask(question);
 */
export interface ConsentQuestion {
  /** Where the person types. @example process.stdin */
  input: ConsentInput;
  /** Where the question is written. @example process.stdout */
  output: ConsentOutput;
  /** The question in your own words; ` [y/N] ` is appended. @default names product, host of the endpoint, and what lists the events */
  question?: string | undefined;
}

/** What recording and asking need. @internal */
export interface ConsentParts {
  readonly product: string;
  readonly env: Environment;
  readonly platform: Platform;
  /** The config file; undefined if there is no place for one. */
  readonly file: string | undefined;
  /** What is known now. */
  readonly look: () => { state: ConsentState; rule: Rule };
  /** The product's telemetry command; undefined if it names none. */
  readonly command: string | undefined;
  /** Where events go; undefined if the program has its own transport. */
  readonly endpoint: () => string | undefined;
  /** Ends telemetry in this process. */
  readonly optOut: () => void;
  readonly tools: ConfigTools;
}

/** Writes an answer. @internal */
export async function recordConsent(yes: boolean, { file, platform, look, tools }: ConsentParts): Promise<ConsentReport> {
  let problem: string | undefined;
  try {
    if (file === undefined) problem = noPlaceWords(platform);
    else writeConsent(file, yes, tools);
  } catch (error) {
    const { name, message } = Object(error) as Partial<Error>;
    problem = name === 'ConfigWriteError' && message !== undefined ? message : 'the config file cannot be written now';
  }
  return { ...look(), answer: yes, file, problem };
}

/** Asks, if nobody has answered yet, and writes the answer. @internal */
export async function askConsent(
  { input, output, question }: ConsentQuestion,
  parts: ConsentParts,
  open: OpenQuestion,
): Promise<ConsentReport> {
  const { env, file, look, optOut } = parts;
  const known = { ...look(), answer: undefined, file, problem: undefined };
  if (known.state !== 'unasked' || !mayAsk(input, output, env)) return known;
  const answer = await askYesOrNo(question ?? questionOf(parts), input, output, open);
  // Who was asked and did not say yes does not expect that anything is sent now.
  if (answer !== true && !open.isEnded) optOut();
  return answer === undefined ? known : recordConsent(answer, parts);
}

function questionOf({ product, command, endpoint: endpointNow }: ConsentParts): string {
  const endpoint = endpointNow();
  const to = endpoint === undefined ? '' : ` to ${new URL(endpoint).host}`;
  const list = command === undefined ? 'Its privacy notice' : `\`${command} events\``;
  return `May ${product} report how it is used${to}? ${list} lists what is sent.`;
}

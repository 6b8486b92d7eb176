import type { Log } from '../log.js';
import { consentWithdrawn } from '../settings.js';
import type { Settings } from '../settings.js';
import { environmentOptsOut, switchVariable } from './opt-outs.js';
import type { Question, Rule } from './rules.js';
import { rereadTelemetryFiles } from './telemetry-files.js';

/** What a watch is made of. */
export interface OptOutWatchOptions extends Pick<Question, 'product' | 'env'> {
  /** @default 'opt-out' */
  consent?: Question['consent'];
  /** What was found at construction. */
  settings: Settings;
  /** Reads a configuration file without blocking; rejects as node:fs does. Without it files are not looked at again. */
  readFile?: ((path: string) => Promise<string>) | undefined;
  /** @default process.platform */
  platform?: NodeJS.Platform | undefined;
  log?: Log | undefined;
}

/** Whether an opt-out has appeared since construction, or the yes that an opt-in rests on has gone. */
export class OptOutWatch {
  readonly #options: OptOutWatchOptions;
  readonly #ownSwitch: string;
  /** What the files said when they were last read again. */
  #files: readonly Rule[] | undefined;

  constructor(options: OptOutWatchOptions) {
    this.#options = options;
    this.#ownSwitch = switchVariable(options.product);
  }

  /** As the environment stands now, and the files stood when last read. Cheap. */
  readonly optedOutNow = (): boolean => {
    const { product, env, consent, settings } = this.#options;
    return environmentOptsOut(product, env, this.#ownSwitch) || (consent === 'opt-in' && consentWithdrawn(settings, env, this.#files));
  };

  /** As the config files stand now; airflow.cfg is not opened again, since it holds secrets and its host reads it once, too. */
  readonly optedOutOnDisk = async (): Promise<boolean> => {
    const { readFile, log } = this.#options;
    if (readFile === undefined) return false;
    this.#files = await rereadTelemetryFiles(this.#options, readFile, log);
    return this.#files.some((rule) => rule.optsOut) || this.optedOutNow();
  };
}

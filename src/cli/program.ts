/*
 * The options of the command, and their checks.
 */
import { aFunction, checkValue } from '../base/check-options.js';
import { bare, given } from '../base/foreign-values.js';
import { checkDescriptionOptions } from '../events/description.js';
import type { Description, DescriptionOptions } from '../events/description.js';
import type { Task } from '../listeners/host.js';

/**
 * Options of `createTelemetryCli`: the object that `createTelemetry` gets, so that both agree. The product may have no version; then none
 * is shown. Leave `endpoint` out if the program has its own transport. What only the client needs is ignored; an unknown key throws.
 *
 * @example
 * const options: TelemetryCliOptions = { product: { name: 'acme', version: '1.2.0' }, command: 'acme privacy' };
 * const cli = createTelemetryCli(options);
 */
export type TelemetryCliOptions = DescriptionOptions;

/** The checked options. */
export interface Program extends Description {
  readonly command: string;
  /** As the program gave it: the notice is the same, whoever makes it. */
  readonly description: Description;
  /** Whether a task is the product's, beside its module. */
  readonly owns: ((task: Task) => boolean) | undefined;
}

/** @throws TypeError naming option and value. */
export function toProgram(options: TelemetryCliOptions): Program {
  const description = checkDescriptionOptions(options);
  const owns = given(options, 'owns');
  if (owns !== undefined) checkValue('owns', owns, aFunction);
  return bare({
    ...description,
    owns: owns as Program['owns'],
    description,
    command: description.command ?? `${description.product.name} telemetry`,
  });
}

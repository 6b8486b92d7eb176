import { isPolluted, readVariable, strip } from './opt-outs.js';

/** Where requests are printed instead of being sent: to a file, or to standard error where there is no path. */
export interface DebugMode {
  /** The variable that asks for it. */
  readonly variable: string;
  readonly path?: string;
}

const OFF = new Set(['', '0', 'false', 'no', 'off']);
const ON = new Set(['1', 'true', 'yes', 'on']);

/** Name of the variable, for example `ACME_TELEMETRY_DEBUG`. */
export function debugVariable(product: string): string {
  return `${product.toUpperCase()}_TELEMETRY_DEBUG`;
}

/**
 * What `<NAME>_TELEMETRY_DEBUG` asks for: `1 true yes on` print to standard error, `0 false no off` and nothing are no debug mode, and
 * anything else is the path of a file to append to. Upper and lower case are the same. Undefined where there is no debug mode.
 *
 * An environment that cannot be read prints to standard error: somebody may want nothing to be sent. Never throws.
 */
export function debugMode(product: string, env: NodeJS.ProcessEnv): DebugMode | undefined {
  const variable = debugVariable(product);
  try {
    // A polluted Object.prototype must not choose a file to write to.
    const value = isPolluted(env, variable) ? undefined : readVariable(env, variable);
    if (value === undefined) return undefined;
    const word = strip(value).toLowerCase();
    if (OFF.has(word)) return undefined;
    return ON.has(word) ? { variable } : { variable, path: value };
  } catch {
    return { variable };
  }
}

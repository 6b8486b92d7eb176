import type { Log } from './log.js';
import { parseEndpoint } from './wire/request-url.js';

/**
 * The endpoint that the operator of the machine chose in `<NAME>_TELEMETRY_ENDPOINT`: it goes before any that a program
 * chose. One that is no endpoint is ignored with a warning, since a mistake in an environment must not stop a host.
 */
export function operatorEndpoint(product: string, env: NodeJS.ProcessEnv, log: Log): string | undefined {
  const name = `${product.toUpperCase()}_TELEMETRY_ENDPOINT`;
  try {
    const value = env[name];
    return value === undefined || value === '' ? undefined : parseEndpoint(value, name);
  } catch {
    log.warn('endpoint_invalid', `${name} is not an http or https URL without credentials, query or fragment; it is ignored`);
    return undefined;
  }
}

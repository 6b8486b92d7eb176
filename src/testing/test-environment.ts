// An environment for tests, in which nothing of the machine decides.
import type { Environment } from '../base/platform-types.js';
import { assertName } from '../events/definition.js';
import { COSMOS } from '../base/constants.js';
import { AIRFLOW_VARIABLE, switchVariable } from '../opt-out/variables.js';

/**
 * The option `env` for a client under test: the product's own switch says yes, and no opt-out, home directory, proxy or debug mode of the
 * machine is in it. Without it a test sends nothing on a machine whose owner has set `DO_NOT_TRACK`. A policy file of the machine still
 * counts: nothing lifts it.
 *
 * @param product The name of the product under test, `^[a-z][a-z0-9_]{0,31}$`.
 * @returns A new object, to which a test may add variables.
 * @throws TypeError for a name of another form.
 * @example
 * const env = testEnvironment('acme');
 * const telemetry = createTelemetry({ product: { name: 'acme', version: '1.2.0' }, transport: recordingTransport(), env });
 * console.log(telemetry.enabled); // true
 */
export function testEnvironment(product: string): Environment {
  assertName('`product`', product);
  return { [switchVariable(product)]: '1', ...(product === COSMOS && { [AIRFLOW_VARIABLE]: 'True' }) };
}

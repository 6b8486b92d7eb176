import { duration, oneOf, optional } from '../../src/events/fields.js';
import { productEvents } from '../../src/events/product-events.js';
import { FakeProduct } from './product.js';
import type { FakeProductOptions } from './product.js';

const note = { description: 'For a test.', reason: 'For a test.' };
const status = oneOf(['success', 'failed', 'skipped', 'cancelled', 'timed_out', 'cached'], note);

/** A product `acme` that declares every outcome, and how long a run took. */
export function workflowProduct(options: FakeProductOptions = {}): FakeProduct {
  const definitions = new Map(productEvents('acme', 'airflow', []));
  for (const type of ['dag_run', 'task_instance'] as const) {
    const declared = definitions.get(type);
    if (declared === undefined) throw new Error(`${type} is not declared`);
    definitions.set(type, { ...declared, fields: { ...declared.fields, status, duration: optional(duration(note)) } });
  }
  return new FakeProduct({ product: 'acme', definitions, ...options });
}

import type { Fields } from '../../src/events/definition.js';
import { productEvents } from '../../src/events/product-events.js';
import type { StandardChoices } from '../../src/events/product-events.js';
import { standardFields } from '../../src/events/standard-metrics.js';
import type { RecordedEvent } from '../../src/testing/index.js';

/** A request target: no character of a value ends the value, names another field or changes the path. */
const TARGET = /^\/v3\/[a-z][a-z0-9_]{0,31}\?(?:[a-z][a-z0-9_]{0,63}=[A-Za-z0-9_.~+%-]*(?:&|$))*$/;

/** The longest request target of a built-in event, for any payload. */
const MAX_TARGET_LENGTH = 4096;

/** Finds fields of an event that are not declared, or whose value the declaration does not accept. */
export class DeclaredFields {
  readonly #byType: ReadonlyMap<string, Fields>;

  constructor(product: string, choices: StandardChoices = { dbt: true, dagHash: () => null }) {
    const standard: Fields = standardFields(product, 'airflow');
    this.#byType = new Map(
      [...productEvents(product, 'airflow', [], choices)].map(([type, { fields, metadata }]) => [
        type,
        { ...metadata, ...standard, ...fields },
      ]),
    );
  }

  /** The faults of an event, one line each. */
  faults({ type, metrics, requestTarget }: RecordedEvent): string[] {
    const fields = this.#byType.get(type);
    if (fields === undefined) return [`undeclared event ${type}`];
    const faults = Object.entries(metrics)
      .filter(([name, value]) => !(Object.hasOwn(fields, name) && fields[name]?.accepts(value) === true))
      .map(([name, value]) => `${type}.${name} left as ${typeof value}`);
    if (!TARGET.test(requestTarget)) faults.push(`${type} asks for ${requestTarget.slice(0, 200)}`);
    if (requestTarget.length > MAX_TARGET_LENGTH) faults.push(`${type} is ${requestTarget.length} characters long`);
    return faults;
  }
}

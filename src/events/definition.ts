// Declarations of events, and the types that follow from them.
import { anyOf, checkOptions, readOption } from '../base/check-options.js';
import type { Checks } from '../base/check-options.js';
import { NAME_PATTERN } from '../base/constants.js';
import { describe } from '../base/describe.js';
import { given } from '../base/foreign-values.js';
import type { MetricValue } from '../wire/python.js';
import { isField, saysSomething } from './fields.js';
import type { Field } from './fields.js';

/**
 * The fields of an event by name, in the order of the privacy notice.
 *
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const fields = { days } satisfies Fields;
 */
export type Fields = Readonly<Record<string, Field>>;

/**
 * An event that may be sent. Types, run-time checks, encoding and privacy notice all follow from this declaration.
 *
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const definition: EventDefinition = defineEvent('backfill', { days }, 'Sent after a backfill.');
 * console.log(definition.type, definition.description); // backfill Sent after a backfill.
 */
export interface EventDefinition<T extends string = string, F extends Fields = Fields> {
  /** The name of the event, a part of the request path. */
  readonly type: T;
  /** The fields that may be sent. */
  readonly fields: F;
  /** When the event is sent, as a sentence for the privacy notice. */
  readonly description: string;
  /** Whether an installation sends it at most once a day. @default false */
  readonly daily?: boolean | undefined;
}

/**
 * Options of {@link defineEvent}.
 *
 * @example
 * const options: EventOptions = { daily: true };
 * const ACTIVE = defineEvent('active', {}, 'Sent on a day on which the product is used.', options);
 */
export interface EventOptions {
  /**
   * Whether an installation sends the event at most once a day (UTC), however often and in however many processes it is published: so
   * events count installations without an id of one. A file in the person's config folder keeps the date, and the notice says so. Where it
   * cannot be written, the event is not sent. What is not sent counts as dropped: `daily`, `daily_unkept`.
   * @default false
   */
  daily?: boolean | undefined;
}

const OPTIONS: Checks<EventOptions> = { daily: anyOf(true, false) };

type OptionalNames<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<MetricValue, infer O> ? (true extends O ? (false extends O ? never : K) : never) : never;
}[keyof F];

type ValueOf<X> = X extends Field<infer T> ? T : never;

/**
 * What `publish` takes for an event with these fields.
 *
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const BACKFILL = defineEvent('backfill', { days });
 * const metrics: MetricsOf<typeof BACKFILL.fields> = { days: 30 };
 */
export type MetricsOf<F extends Fields> = {
  readonly [K in Exclude<keyof F, OptionalNames<F>>]: ValueOf<F[K]>;
} & {
  readonly [K in OptionalNames<F>]?: ValueOf<F[K]>;
};

/**
 * Declares an event of a product, in addition to the built-in ones.
 *
 * @param type `^[a-z][a-z0-9_]{0,31}$`. It becomes part of the request path.
 * @param fields Made by `count`, `oneOf`, `boolean` and the other kinds. Names have the form of the type.
 * @param description When the event is sent, for the privacy notice.
 * @param options See {@link EventOptions}.
 * @throws TypeError for a name of another form, a field that was not made by a kind, an example that its field does not accept, an
 * empty description, or a wrong or unknown option.
 * @example
 * const days = count({ description: 'How many days it covered.', reason: 'To know which sizes must stay fast.' });
 * const BACKFILL = defineEvent('backfill', { days }, 'Sent after a backfill.');
 * const product = { name: 'acme', version: '1.2.0' } as const;
 * const telemetry = createTelemetry({ product, endpoint: 'https://telemetry.acme.example', events: [BACKFILL] });
 * console.log(telemetry.publish('backfill', { days: 30 })); // true
 */
export function defineEvent<const T extends string, const F extends Fields>(
  type: T,
  fields: F,
  description = `Sent when the product publishes \`${type}\`.`,
  options: EventOptions = {},
): EventDefinition<T, F> {
  assertName('event type', type);
  if (typeof fields !== 'object' || fields === null) {
    throw new TypeError(`Expected \`fields\` of event \`${type}\` to be an object of fields, got ${describe(fields)}.`);
  }
  for (const name of Object.keys(fields)) {
    assertName(`field name of event \`${type}\``, name);
    const field: unknown = readOption(fields, name, `fields.${name}`);
    if (!isField(field)) {
      throw new TypeError(`Expected field \`${name}\` of event \`${type}\` to be made by count(), oneOf() or another kind.`);
    }
    if (field.example !== undefined && !field.accepts(field.example)) {
      throw new TypeError(`Expected \`example\` of field \`${name}\` to be a value that it accepts, got ${describe(field.example)}.`);
    }
  }
  if (!saysSomething(description)) {
    throw new TypeError(`Expected \`description\` of event \`${type}\` to say something, got ${describe(description)}.`);
  }
  const { daily } = checkOptions('options', options, OPTIONS);
  return { type, fields, description, ...(daily === true && { daily }) };
}

/** Whether an installation sends the event at most once a day. What a polluted `Object.prototype` holds does not count. */
export function isDaily(definition: EventDefinition): boolean {
  return given(definition, 'daily') === true;
}

/** @throws TypeError with the value, if it does not have the form of a name. */
export function assertName(what: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || !NAME_PATTERN.test(value)) {
    throw new TypeError(`Expected ${what} to match ${NAME_PATTERN.source}, got ${describe(value)}.`);
  }
}

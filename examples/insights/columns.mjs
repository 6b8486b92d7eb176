// What a report needs of an event: the columns, declared and never inferred, and what their values may be.

/** An event type, and the name of a product: as `defineEvent` has it. */
export const NAME = /^[a-z][a-z0-9_]{0,31}$/;

const IDENTIFIER = /^[\p{L}_][\p{L}\p{N}_.:-]{0,127}$/u;
const IDENTIFIER_SET = /^(?:[\p{L}_][\p{L}\p{N}_.:-]{0,255})?$/u;
const VERSION = /^[0-9A-Za-z][0-9A-Za-z.+!_-]{0,63}$/;

/** How a run or a task may end. The first two are those of Cosmos; other products have all of them. */
const OUTCOMES = new Set(['success', 'failed', 'skipped', 'cancelled', 'timed_out', 'cached']);
const BOOLEANS = new Set(['True', 'False', 'true', 'false']);

/**
 * The columns, by the name that they have here.
 *
 * @param product The name of the product: its version is the field `{product}_version`.
 * @returns For each the field of the event, and whether a text is a value of it.
 */
export function columnsOf(product) {
  return {
    version: { field: `${product}_version`, accepts: (text) => VERSION.test(text) },
    status: { field: 'status', accepts: (text) => OUTCOMES.has(text) },
    database: { field: 'database', accepts: (text) => IDENTIFIER.test(text) },
    mode: { field: 'execution_mode', accepts: (text) => IDENTIFIER.test(text) },
    modes: { field: 'execution_modes', accepts: (text) => IDENTIFIER_SET.test(text) },
    airflow: { field: 'airflow_version', accepts: (text) => VERSION.test(text) },
    python: { field: 'python_version', accepts: (text) => VERSION.test(text) },
    ci: { field: 'ci', accepts: (text) => BOOLEANS.has(text) },
  };
}

/** Text that is no percent-encoded UTF-8 stays as it is. No column accepts it: no value has a percent sign. */
function unquote(text) {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The value of a field, as it stands in the query of a request. Cosmos encodes the version of Airflow once more than the others.
 *
 * @param field Its name.
 * @param raw What is between `=` and `&`.
 */
export function decodeValue(field, raw) {
  const text = unquote(raw.replaceAll('+', ' '));
  return field === 'airflow_version' ? unquote(text) : text;
}

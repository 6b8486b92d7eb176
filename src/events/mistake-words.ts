/*
 * The words for what a program gets wrong about its own events: by name and never with a value. They are loaded late.
 */
import type { Loss } from '../base/ledger.js';
import type { EventDefinition } from './definition.js';

/** The code and the text of a line. */
export function mistakeWords(
  { from, name, why, type = '' }: Loss,
  definitions: ReadonlyMap<string, EventDefinition>,
): readonly [code: string, text: string] {
  const declared = definitions.get(type);
  const field = shown(name);
  if (from === 'metadata') {
    if (name === '') return ['metadata_dropped', `the packed metadata of a DAG cannot be read (${why})`];
    // The names come from a param of a DAG, so only a declared one is shown.
    const part = why === 'undeclared' ? 'a name that is not declared' : field;
    return ['metadata_dropped', `the metadata of a DAG has ${part} (${why}), which is not sent`];
  }
  if (from === 'payload') {
    if (why === 'missing') return ['payload_incomplete', `a host's ${type} payload has no usable \`${name}\`: nothing is sent for it`];
    return ['payload_dropped', `a host's payload has a value of ${field} that no field can hold, so it is not sent`];
  }
  if (declared === undefined) return ['event_undeclared', `event type ${shown(type)} is not declared${hint(type, definitions.keys())}`];
  if (name === '') return ['event_invalid', `event ${type} was published without an object of fields`];
  if (!Object.hasOwn(declared.fields, name))
    return ['field_undeclared', `event ${type} has no field ${field}${hint(name, Object.keys(declared.fields))}: it is not sent`];
  if (why === 'missing') return ['field_missing', `event ${type} was published without its field ${field}`];
  const { kind } = declared.fields[name] ?? {};
  return ['field_dropped', `event ${type}: the value of ${field} does not fit a field of kind ${kind}, so it is not sent`];
}

/** A name as code has it. Any other text could be data, so it is not shown. */
const CODE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,31}$/;

function shown(name: string): string {
  return CODE_NAME.test(name) ? `\`${name}\`` : '(name not shown)';
}

/** ` (did you mean ...?)`, if a declared name is close enough. */
function hint(name: string, declared: Iterable<string>): string {
  if (!CODE_NAME.test(name)) return '';
  const most = name.length < 4 ? 1 : 2;
  let best: string | undefined;
  let least = most + 1;
  for (const other of declared) {
    const distance = distanceOf(folded(name), folded(other));
    if (distance < least) [best, least] = [other, distance];
  }
  return best === undefined ? '' : ` (did you mean \`${best}\`?)`;
}

/** `taskCount` and `task_count` are one name to a person. */
function folded(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

/** How many letters to change, add or remove (Levenshtein). */
function distanceOf(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const changed = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

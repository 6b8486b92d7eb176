/*
 * The words for what a program gets wrong about its own events and about those of its host: by name and never with a value. They are loaded
 * late.
 */
import type { Ledger, Loss } from '../base/ledger.js';
import type { EventDefinition } from './definition.js';

/** The code and the text of a line. */
export function mistakeWords(loss: Loss, definitions: ReadonlyMap<string, EventDefinition>): readonly [code: string, text: string] {
  const { from, name, why, type = '' } = loss;
  const declared = definitions.get(type);
  const field = shown(name);
  if (from === 'metadata') {
    if (name === '') return ['metadata_dropped', `the packed metadata of a DAG cannot be read (${why})`];
    // The names come from a param of a DAG, so only a declared one is shown.
    const part = why === 'undeclared' ? 'a name that is not declared' : field;
    return ['metadata_dropped', `the metadata of a DAG has ${part} (${why}), which is not sent`];
  }
  if (from === 'host') return hostWords(loss, definitions);
  if (from === 'payload') {
    if (why === 'missing') return ['payload_incomplete', `${called(loss)}: ${lackWords(loss)}, so nothing is sent for it`];
    if (why === 'misspelt') return ['payload_misspelt', `${called(loss)} has \`${name}\`, which is not read${meant(loss.like)}`];
    if (name === 'status')
      return ['payload_dropped', `a host's payload has a \`status\` that is none of ${STATUSES}: its event's name counts`];
    return ['payload_dropped', `a host's payload has a value of ${field} that no field can hold, so it is not sent`];
  }
  if (declared === undefined)
    return ['event_undeclared', `event type ${eventWords(type, Array.from(definitions.keys()), ' is not declared')}`];
  if (name === '') return ['event_invalid', `event ${type} was published without an object of fields`];
  if (!Object.hasOwn(declared.fields, name))
    return ['field_undeclared', `event ${type} has no field ${field}${hint(name, Object.keys(declared.fields))}: it is not sent`];
  if (why === 'missing') return ['field_missing', `event ${type} was published without its field ${field}`];
  const { kind } = declared.fields[name] ?? {};
  return ['field_dropped', `event ${type}: the value of ${field} does not fit a field of kind ${kind}, so it is not sent`];
}

/** What a payload lacks. The path is one of ours. */
function lackWords({ name: path, of }: Loss): string {
  if (path === 'payload') return of === 'reportRun()' ? 'it is no object' : 'its payload is no object';
  if (path === 'tasks[].status') return 'a task has no known `status`';
  if (path === 'status') return `its \`status\` is none of ${STATUSES}`;
  return `it has no ${path.endsWith('tasks') ? 'usable list' : 'object'} \`${path}\``;
}

/** How a run or a task may end. */
const STATUSES = 'success, failed, skipped, cancelled, timed_out, cached';

/** The name of an event, with the one that it may have meant: `dag_run.success` is published as `dag_run`, and a host emits the former. */
function eventWords(name: string, known: readonly string[], verb = ''): string {
  if (!EVENT_NAME.test(name)) return `(name not shown)${verb}`;
  const [stem = ''] = name.split('.', 1);
  const like = known.find((other) => other === stem || other.startsWith(`${name}.`)) ?? closest(name, known, mostEdits);
  return `\`${name}\`${verb}${meant(like)}`;
}

/** Where an event of a host came from: its own name, or a method of the client. */
function called({ of, type = '' }: Loss): string {
  if (of === undefined) return `a host's ${type} payload`;
  if (of === 'report()') return 'an event given to report()';
  if (of === 'reportRun()') return 'a run given to reportRun()';
  return EVENT_NAME.test(of) ? `host event \`${of}\`` : 'a host event (name not shown)';
}

const HOST_EVENTS = ['dag_run.success', 'dag_run.failed', 'task_instance.success', 'task_instance.failed'];

/** What a `map` function, or a call of `report()`, gets wrong. */
function hostWords(loss: Loss, definitions: ReadonlyMap<string, EventDefinition>): readonly [code: string, text: string] {
  const { name, why, of } = loss;
  const known = eventWords(name, HOST_EVENTS);
  if (of === 'report()') {
    const isOwn = definitions.has(name) && !HOST_EVENTS.some((event) => event.startsWith(`${name}.`));
    const unknown = isOwn ? `with \`${name}\`, which publish() takes` : `with the unknown event ${known}`;
    const wrong = why === 'undeclared' ? unknown : 'without the name of an event';
    return ['event_undeclared', `report() was called ${wrong}: nothing is sent for it`];
  }
  if (why === 'undeclared')
    return ['event_undeclared', `${called(loss)}: its \`map\` function reported the unknown event ${known}, so nothing is sent for it`];
  const failed = why === 'threw' || why === 'rejected' ? why : 'returned no report';
  return ['map_failed', `${called(loss)}: its \`map\` function ${failed}, so nothing is sent for it`];
}

/** The names of one object of a payload, and those that are read of it. */
export interface FoundNames {
  /** The event type that is made from the payload. */
  readonly type: 'dag_run' | 'task_instance';
  /** The path of the object in the payload; empty for the payload. */
  readonly path: string;
  readonly names: readonly string[];
  readonly read: Readonly<Record<string, true>>;
  /** The method of the client that took the payload, if it was not a host event. */
  readonly of?: string;
}

/**
 * Tells the ledger which names are like one that is read and not there. A host may hand over objects of its own, with many more names, so
 * all others are no mistakes.
 */
export function noticeMisspelt(found: readonly FoundNames[], ledger: Pick<Ledger, 'notice'>): void {
  for (const each of found) noticeMisspeltOf(each, ledger);
}

function noticeMisspeltOf({ type, path, names, read, of }: FoundNames, ledger: Pick<Ledger, 'notice'>): void {
  const absent = Object.keys(read).filter((name) => !names.includes(name));
  for (const name of names) {
    if (Object.hasOwn(read, name) || !CODE_NAME.test(name)) continue;
    const like = absent.find((other) => isAnotherForm(name, other)) ?? closest(name, absent, fewEdits);
    if (like !== undefined) ledger.notice('payload', path === '' ? name : `${path}.${name}`, 'misspelt', type, { like, ...(of && { of }) });
  }
}

/** `durationMs` says `duration` with a unit, and `operator` says `operatorName`. */
function isAnotherForm(name: string, read: string): boolean {
  const given = folded(name);
  const known = folded(read);
  return given === known || given.replace(UNIT, '') === known || given === known.replace(/name$/, '');
}

const UNIT = /(?:ms|millis|milliseconds|s|secs?|seconds)$/;

/** A name as code has it. Any other text could be data, so it is not shown. */
const CODE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,31}$/;

/** The name of a host event as code has it. */
const EVENT_NAME = /^[A-Za-z_][A-Za-z0-9_.:-]{0,47}$/;

function shown(name: string): string {
  return CODE_NAME.test(name) ? `\`${name}\`` : '(name not shown)';
}

/** ` (did you mean ...?)`, if a declared name is close enough. */
function hint(name: string, declared: Iterable<string>): string {
  return CODE_NAME.test(name) ? meant(closest(name, declared, mostEdits)) : '';
}

function meant(name: string | undefined): string {
  return name === undefined ? '' : ` (did you mean \`${name}\`?)`;
}

/** The name that needs the fewest letters to be changed, if it needs no more than it may. */
function closest(name: string, declared: Iterable<string>, mayNeed: (name: string, other: string) => number): string | undefined {
  const given = folded(name);
  let best: string | undefined;
  let least = Infinity;
  for (const other of declared) {
    const known = folded(other);
    const most = Math.min(least - 1, mayNeed(given, known));
    // Without the difference in length most names would be compared in vain.
    if (Math.abs(given.length - known.length) > most) continue;
    const distance = distanceOf(given, known);
    if (distance <= most) [best, least] = [other, distance];
  }
  return best;
}

/** For a name that is a mistake in any case. */
function mostEdits(given: string): number {
  return given.length < 4 ? 1 : 2;
}

/** For a name that may be right: `owner` and `state` are not `owned` and `status`, and `ownd` is `owned`. */
function fewEdits(given: string, known: string): number {
  if (known.length < 6) return known.length === 5 && given.length === 4 ? 1 : 0;
  return known.length < 8 ? 1 : 2;
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

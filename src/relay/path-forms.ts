/**
 * Requests whose values are segments of the path, by a declared table: those of Cosmos before 1.12, and of DAG Factory 1.1. Pure functions
 * that never throw.
 */
import { NAME_PATTERN } from '../base/constants.js';
import type { Field } from '../events/fields.js';
import { standardFields } from '../events/standard-metrics.js';
import { acceptsText, DECLARED_FIELDS, HOST, unquote } from './declared-fields.js';

/** Where the events of DAG Factory are, beside those of Cosmos. The same segment begins the path of its own endpoint. */
export const DAG_FACTORY_PATH = '/dag-factory';

/** One form of a path: `{prefix}{segment}/{segment}/…`. */
interface PathForm {
  readonly prefix: string;
  /** The names of the segments, in their order. One of them is `event_type`. */
  readonly segments: readonly string[];
  /** The fields of an event type; undefined for an unknown one. */
  readonly fieldsOf: (type: string) => { get(name: string): Field | undefined } | undefined;
}

const PLATFORM = ['airflow_version', 'python_version', 'platform_system', 'platform_machine'] as const;
const RUN = ['event_type', 'status', 'dag_hash', 'task_count'] as const;
const COSMOS_V1 = ['cosmos_version', ...PLATFORM, ...RUN, 'cosmos_task_count'] as const;

const ofCosmos: PathForm['fieldsOf'] = (type) => DECLARED_FIELDS.get(type);

/** DAG Factory has one event, with the fields of the `dag_run` of Cosmos. */
const OF_DAG_FACTORY = {
  get: (name: string): Field | undefined =>
    name === 'cosmos_version' ? undefined : (DAG_FACTORY_STANDARD.get(name) ?? DECLARED_FIELDS.get('dag_run')?.get(name)),
};
const DAG_FACTORY_STANDARD: ReadonlyMap<string, Field> = new Map(Object.entries(standardFields('dagfactory', HOST)));

/** Every form. A path belongs to the first one whose prefix it has. */
const PATH_FORMS: readonly PathForm[] = [
  { prefix: '/v1/', segments: COSMOS_V1, fieldsOf: ofCosmos },
  { prefix: '/v2/', segments: [...COSMOS_V1, 'execution_modes'], fieldsOf: ofCosmos },
  {
    prefix: `${DAG_FACTORY_PATH}/v2/`,
    segments: ['dagfactory_version', ...PLATFORM, ...RUN],
    fieldsOf: (type) => (type === 'dag_run' ? OF_DAG_FACTORY : undefined),
  },
];

const SEGMENT = /^[\w\-.~!$'()*+,:@%]{0,128}$/;

/** `.` and `..` in all their spellings (WHATWG URL): they would lead out of the endpoint's path. */
const DOT_SEGMENT = /^(?:\.|%2e){1,2}$/i;

/** Whether a path is one of DAG Factory, and not of Cosmos. */
export function isOfDagFactory(path: string): boolean {
  return path.startsWith(`${DAG_FACTORY_PATH}/`);
}

/** The names of the segments of a path that is an event, each with its segment as it is; undefined for a path of no form. */
export function segmentsOf(path: string): readonly (readonly [name: string, segment: string])[] | undefined {
  const form = formOf(path);
  const segments = form === undefined ? [] : path.slice(form.prefix.length).split('/');
  return form?.segments.map((name, index) => [name, segments[index] ?? '']);
}

/**
 * Whether a path is an event. One bad value refuses it: a path cannot lose a segment.
 *
 * @returns The name of the answer if it is refused; undefined if no form has its prefix.
 */
export function parsePath(path: string, isVerbatim: boolean): 'event' | 'unknown_path' | 'unknown_event' | 'malformed' | undefined {
  const form = formOf(path);
  if (form === undefined) return undefined;
  const segments = path.slice(form.prefix.length).split('/');
  if (segments.length !== form.segments.length) return 'unknown_path';
  if (!segments.every((segment) => SEGMENT.test(segment) && !DOT_SEGMENT.test(segment))) return 'malformed';
  const typeAt = form.segments.indexOf('event_type');
  const type = segments[typeAt] ?? '';
  if (!NAME_PATTERN.test(type)) return 'malformed';
  if (isVerbatim) return 'event';
  const fields = form.fieldsOf(type);
  if (fields === undefined) return 'unknown_event';
  const isDeclared = segments.every((segment, index) => {
    const field = fields.get(form.segments[index] ?? '');
    return index === typeAt || (field !== undefined && acceptsText(field, unquote(unquote(segment))));
  });
  return isDeclared ? 'event' : 'malformed';
}

function formOf(path: string): PathForm | undefined {
  return PATH_FORMS.find(({ prefix }) => path.startsWith(prefix));
}

import { expandVariables, isPolluted, isSpace, readVariable, strip } from './variables.js';

/**
 * What airflow.cfg says about one option.
 *
 * - `absent`: nothing, so the default holds.
 * - `found`: its value with `%` interpolation done, and `shown`, its first line as it stands in the file, up to any `#`. Only that
 *   may be shown to anyone: what interpolation and indented lines add may be another option's value, and the file holds secrets.
 * - `broken`: Python's parser would refuse the file or the value. `reason` is a sentence without anything of the file in it.
 */
export type CfgEntry =
  | { kind: 'absent' }
  | { kind: 'found'; value: string; shown: string; line: number }
  | { kind: 'broken'; reason: string; line: number };

/** An option while it is read: a value may go on in indented lines below. */
interface Option {
  readonly parts: string[];
  readonly line: number;
}

type Section = Map<string, Option>;

/** Python's MAX_INTERPOLATION_DEPTH. */
const MAX_DEPTH = 10;

/** Ten levels of a thousand references each would never end: no honest value needs more than these. */
const MAX_REFERENCES = 1000;
const MAX_VALUE_LENGTH = 1 << 20;

class CfgError extends Error {
  readonly line: number;

  constructor(reason: string, line: number) {
    super(reason);
    this.line = line;
  }
}

/**
 * Reads one option of a configuration text the way Python's `configparser.ConfigParser()` with its default settings reads a
 * UTF-8 file: strict, `[DEFAULT]`, `BasicInterpolation`, no valueless options, no inline comments.
 *
 * A byte order mark in front is an error, as it is to Python: Airflow does not start with such a file.
 *
 * @param sectionName matched exactly. @param optionName in lower case; the file may write it in any.
 */
export function readCfgOption(text: string, sectionName: string, optionName: string): CfgEntry {
  try {
    const { sections, defaults } = parse(text);
    const section = sections.get(sectionName);
    // Python asks the section first: without it, not even [DEFAULT] speaks for it.
    if (section === undefined) return { kind: 'absent' };
    const lookup = (name: string): Option | undefined => section.get(name) ?? defaults.get(name);
    const option = lookup(optionName);
    if (option === undefined) return { kind: 'absent' };
    return { kind: 'found', value: interpolate(option, lookup), shown: shownOf(option), line: option.line };
  } catch (error) {
    if (error instanceof CfgError) return { kind: 'broken', reason: error.message, line: error.line };
    throw error;
  }
}

function parse(text: string): { sections: Map<string, Section>; defaults: Section } {
  const sections = new Map<string, Section>();
  const defaults: Section = new Map();
  let section: Section | undefined;
  let option: Option | undefined;
  let indent = 0;
  let line = 0;
  for (const raw of text.split(/\r\n|\r|\n/)) {
    line += 1;
    const content = strip(raw);
    if (content === '') {
      option?.parts.push('');
      continue;
    }
    if (content.startsWith('#') || content.startsWith(';')) continue;
    const depth = raw.indexOf(content);
    if (option !== undefined && depth > indent) {
      option.parts.push(content);
      continue;
    }
    indent = depth;
    const header = headerOf(content);
    if (header !== undefined) {
      section = header === 'DEFAULT' ? defaults : addSection(sections, header, line);
      option = undefined;
    } else if (section === undefined) {
      throw new CfgError(line === 1 && content.startsWith('\ufeff') ? 'byte order mark' : 'no section header', line);
    } else {
      option = addOption(section, content, line);
    }
  }
  return { sections, defaults };
}

/** What stands between the first `[` and the last `]`, whatever follows: so Python's pattern has it. */
function headerOf(content: string): string | undefined {
  const end = content.lastIndexOf(']');
  return content.startsWith('[') && end > 1 ? content.slice(1, end) : undefined;
}

function addSection(sections: Map<string, Section>, header: string, line: number): Section {
  if (sections.has(header)) throw new CfgError('section stands twice', line);
  const section: Section = new Map();
  sections.set(header, section);
  return section;
}

function addOption(section: Section, content: string, line: number): Option {
  const delimiter = content.search(/[=:]/);
  const name = delimiter < 0 ? '' : strip(content.slice(0, delimiter)).toLowerCase();
  if (name === '') throw new CfgError('neither section nor option', line);
  if (section.has(name)) throw new CfgError('option stands twice', line);
  const option: Option = { parts: [strip(content.slice(delimiter + 1))], line };
  section.set(name, option);
  return option;
}

function shownOf({ parts: [first = ''] }: Option): string {
  const comment = first.indexOf('#');
  return comment < 0 ? first : strip(first.slice(0, comment));
}

/** The value as Python joins it: one line a part, without white space at the end. */
function textOf({ parts }: Option): string {
  const joined = parts.join('\n');
  let end = joined.length;
  while (end > 0 && isSpace(joined.charCodeAt(end - 1))) end -= 1;
  return joined.slice(0, end);
}

/** Python's BasicInterpolation: `%%` is a percent sign, `%(name)s` another option's value, any other `%` an error. */
function interpolate(option: Option, lookup: (name: string) => Option | undefined): string {
  let references = 0;
  let result = '';
  const expand = (text: string, depth: number): void => {
    if (depth > MAX_DEPTH) throw new CfgError('interpolation too deep', option.line);
    let from = 0;
    for (let at = text.indexOf('%'); at >= 0; at = text.indexOf('%', from)) {
      result += text.slice(from, at);
      if (text[at + 1] === '%') {
        result += '%';
        from = at + 2;
        continue;
      }
      const end = text.indexOf(')', at);
      if (text[at + 1] !== '(' || end <= at + 2 || text[end + 1] !== 's') throw new CfgError('wrong interpolation', option.line);
      references += 1;
      const other = lookup(text.slice(at + 2, end).toLowerCase());
      if (other === undefined) throw new CfgError('interpolation of an unknown option', option.line);
      const value = textOf(other);
      if (value.includes('%')) expand(value, depth + 1);
      else result += value;
      if (references > MAX_REFERENCES || result.length > MAX_VALUE_LENGTH) throw new CfgError('too much interpolation', option.line);
      from = end + 2;
    }
    result += text.slice(from);
  };
  expand(textOf(option), 1);
  return result;
}

/** Airflow's home where `AIRFLOW_HOME` is not set. */
const DEFAULT_HOME = '~/airflow';

/**
 * Where a configuration file is. `unknown` is a place somebody named that cannot be worked out from the environment (`~name`,
 * or `~` without a home): a file may stand there, and an opt-out in it. `none`: nobody named a place and there is no home.
 */
export type ConfigPlace = { kind: 'path' | 'unknown'; path: string } | { kind: 'none' };

/** Where Airflow looks for airflow.cfg: `$AIRFLOW_CONFIG`, else `$AIRFLOW_HOME/airflow.cfg`, else `~/airflow/airflow.cfg`. */
export function airflowCfgPlace(env: NodeJS.ProcessEnv): ConfigPlace {
  const config = named(env, 'AIRFLOW_CONFIG');
  if (config !== undefined && config !== '') return expandPlace(config, env);
  const home = named(env, 'AIRFLOW_HOME');
  if (home === undefined && expandVariables(DEFAULT_HOME, env) === DEFAULT_HOME) return { kind: 'none' };
  const folder = expandPlace(home ?? DEFAULT_HOME, env);
  // Joined as Python joins: an empty AIRFLOW_HOME is the working directory, and `..` is left to the file system.
  const slash = folder.path === '' || folder.path.endsWith('/') ? '' : '/';
  return { kind: folder.kind, path: `${folder.path}${slash}airflow.cfg` };
}

function named(env: NodeJS.ProcessEnv, name: string): string | undefined {
  return isPolluted(env, name) ? undefined : readVariable(env, name);
}

function expandPlace(text: string, env: NodeJS.ProcessEnv): { kind: 'path' | 'unknown'; path: string } {
  const path = expandVariables(text, env);
  return path === undefined || path.startsWith('~') ? { kind: 'unknown', path: text } : { kind: 'path', path };
}

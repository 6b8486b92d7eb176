/*
 * airflow.cfg: where Airflow looks for it, and one option of it, read as Python's ConfigParser reads it.
 */
import type { Environment } from '../base/platform-types.js';
import { expandVariables, isSpace, strip, trustedVariable } from './variables.js';

/** Airflow's home if `AIRFLOW_HOME` is not set. */
const DEFAULT_HOME = '~/airflow';

/**
 * Where a configuration file is.
 *
 * - `path`: there.
 * - `unknown`: the environment names a place that cannot be resolved (`~name`, or `~` without a home). A file there may hold an opt-out.
 * - `none`: the environment names no place, and there is no home.
 */
type ConfigPlace = { kind: 'path' | 'unknown'; path: string } | { kind: 'none' };

/** Where Airflow looks for airflow.cfg: `$AIRFLOW_CONFIG`, else `$AIRFLOW_HOME/airflow.cfg`, else `~/airflow/airflow.cfg`. */
export function airflowCfgPlace(env: Environment): ConfigPlace {
  const config = trustedVariable(env, 'AIRFLOW_CONFIG');
  if (config !== undefined && config !== '') return expandPlace(config, env);
  const home = trustedVariable(env, 'AIRFLOW_HOME');
  if (home === undefined && expandVariables(DEFAULT_HOME, env) === DEFAULT_HOME) return { kind: 'none' };
  const folder = expandPlace(home ?? DEFAULT_HOME, env);
  // Joined as Python does: an empty AIRFLOW_HOME is the working directory, and `..` stays for the file system to resolve.
  const slash = folder.path === '' || folder.path.endsWith('/') ? '' : '/';
  return { kind: folder.kind, path: `${folder.path}${slash}airflow.cfg` };
}

function expandPlace(text: string, env: Environment): { kind: 'path' | 'unknown'; path: string } {
  const path = expandVariables(text, env);
  return path === undefined || path.startsWith('~') ? { kind: 'unknown', path: text } : { kind: 'path', path };
}

/**
 * What airflow.cfg says about one option.
 *
 * - `absent`: nothing, so the default holds.
 * - `found`: its value after `%` interpolation, and `shown`, the part of its first line before any `#`. Only `shown` may be printed:
 *   interpolation and continuation lines may add the value of another option, and the file holds secrets.
 * - `broken`: Python's parser refuses the file or the value. `reason` holds no text of the file.
 */
export type CfgEntry =
  | { kind: 'absent' }
  | { kind: 'found'; value: string; shown: string; line: number }
  | { kind: 'broken'; reason: string; line: number };

/** An option: the rest of its line, and its indented continuation lines. */
interface Option {
  readonly parts: string[];
  readonly line: number;
}

type Section = Map<string, Option>;

class CfgError extends Error {
  readonly line: number;

  constructor(reason: string, line: number) {
    super(reason);
    this.line = line;
  }
}

/**
 * Reads one option of a configuration text as Python's `configparser.ConfigParser()` with its default settings reads a UTF-8 file:
 * strict, `[DEFAULT]`, `BasicInterpolation`, no options without a value, no inline comments.
 *
 * A byte order mark at the start is an error, as in Python: Airflow does not start with such a file.
 *
 * @param sectionName must match exactly.
 * @param optionName in lower case; the file may use any case.
 */
export function readCfgOption(text: string, sectionName: string, optionName: string): CfgEntry {
  try {
    const { sections, defaults } = parse(text);
    const section = sections.get(sectionName);
    // As in Python, [DEFAULT] applies only if the section exists.
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

/** The text between the first `[` and the last `]`; text after it is ignored, as by Python's pattern. */
function headerOf(content: string): string | undefined {
  const end = content.lastIndexOf(']');
  return content.startsWith('[') && end > 1 ? content.slice(1, end) : undefined;
}

function addSection(sections: Map<string, Section>, header: string, line: number): Section {
  if (sections.has(header)) throw new CfgError('duplicate section', line);
  const section: Section = new Map();
  sections.set(header, section);
  return section;
}

function addOption(section: Section, content: string, line: number): Option {
  const delimiter = content.search(/[=:]/);
  const name = delimiter < 0 ? '' : strip(content.slice(0, delimiter)).toLowerCase();
  if (name === '') throw new CfgError('neither section nor option', line);
  if (section.has(name)) throw new CfgError('duplicate option', line);
  const option: Option = { parts: [strip(content.slice(delimiter + 1))], line };
  section.set(name, option);
  return option;
}

function shownOf({ parts: [first = ''] }: Option): string {
  const comment = first.indexOf('#');
  return comment < 0 ? first : strip(first.slice(0, comment));
}

/** The value as Python joins it: one line for each part, without trailing white space. */
function textOf({ parts }: Option): string {
  const joined = parts.join('\n');
  let end = joined.length;
  while (end > 0 && isSpace(joined.charCodeAt(end - 1))) end -= 1;
  return joined.slice(0, end);
}

/** Python's MAX_INTERPOLATION_DEPTH. */
const MAX_DEPTH = 10;

/** Ten levels of a thousand references each would not end in practice. No sensible value reaches these bounds. */
const MAX_REFERENCES = 1000;
const MAX_VALUE_LENGTH = 1 << 20;

/** Python's BasicInterpolation: `%%` is a percent sign, `%(name)s` the value of another option, any other `%` an error. */
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
      if (text[at + 1] !== '(' || end <= at + 2 || text[end + 1] !== 's') throw new CfgError('invalid interpolation', option.line);
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

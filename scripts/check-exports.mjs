// Checks what the declarations of each entry point say: every type that they name is exported there, so that a user can name it, and what a
// user gives may be `undefined` where it may be left out. `npm run build && node scripts/check-exports.mjs [FOLDER_OF_THE_PACKAGE]`.
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));

/** What computes types, or is the same as an exported one. A user has no use for the name. */
const COMPUTED = [
  'AwaitUsing',
  'CheckedMap',
  'CheckedNames',
  'HostFunctions',
  'Listened',
  'COSMOS',
  'DagRunFields',
  'DescriptionOptions',
  'TaskInstanceFields',
  'WorkflowMetrics',
];

/** What the package gives, and no user: a key is there or it is not. */
const GIVEN = ['ChannelMessage', 'Field', 'RelayAddress', 'Rule', 'SendSignal'];

const DECLARATION = /^(export )?(?:declare )?(?:abstract )?(?:interface|type|class|function|const|enum) (\w+)/;

/** What a declaration file imports, exports from elsewhere, and declares. Files of the compiler have one statement after another. */
function parse(file) {
  const text = readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const imports = new Map();
  const exports = new Map();
  const declarations = new Map();
  for (const [, kind, list, from] of text.matchAll(/^(import|export) (?:type )?\{([^}]*)\} from '([^']+)';$/gm)) {
    for (const [, name, alias = name] of list.matchAll(/(?:type )?(\w+)(?: as (\w+))?/g)) {
      const source = from.startsWith('.') ? { file: path.join(path.dirname(file), from.replace(/\.js$/, '.d.ts')), name } : undefined;
      (kind === 'import' ? imports : exports).set(alias, source);
    }
  }
  for (const statement of text.split(/^(?=\w)/m)) {
    const [, isExported, name] = DECLARATION.exec(statement) ?? [];
    if (name === undefined) continue;
    const before = declarations.get(name)?.text ?? '';
    declarations.set(name, { text: before + statement.replaceAll(/'[^'\n]*'/g, "''"), isExported: isExported !== undefined });
  }
  return { imports, exports, declarations };
}

const files = new Map();
function parsed(file) {
  if (!files.has(file)) files.set(file, parse(file));
  return files.get(file);
}

const keyOf = ({ file, name }) => `${file}#${name}`;

/** The declaration behind a name that a file exports. */
function origin({ file, name }) {
  const from = parsed(file).exports.get(name);
  return from === undefined ? { file, name } : origin(from);
}

/** The declaration, and those that its file keeps to itself and that it names: they are a part of it. */
function declared({ file, name }, seen = new Set([name])) {
  const { declarations } = parsed(file);
  const { text = '' } = declarations.get(name) ?? {};
  const own = new Set(text.match(/\b[A-Z]\w*/g));
  const hidden = [...own].filter((used) => !seen.has(used) && declarations.get(used)?.isExported === false && !COMPUTED.includes(used));
  for (const used of hidden) seen.add(used);
  return [text, ...hidden.map((used) => declared({ file, name: used }, seen))].join('\n');
}

/** The exported types that a declaration names. */
function namedBy({ file, name }) {
  const { imports, declarations } = parsed(file);
  return [...new Set(declared({ file, name }).match(/\b[A-Z]\w*/g))]
    .filter((used) => used !== name && !COMPUTED.includes(used))
    .flatMap((used) => imports.get(used) ?? (declarations.get(used)?.isExported ? { file, name: used } : []));
}

/** Optional keys that do not take an explicit `undefined`. */
function strictKeys(source) {
  if (GIVEN.includes(source.name)) return [];
  const keys = declared(source).matchAll(/^( +)(?:readonly )?(\w+)\?(?=\(|: (.*|\{[\s\S]*?\n\1\}.*);$)/gm);
  return [...keys].flatMap(([, , key, type = 'a method']) => (/\bundefined$|^unknown$/.test(type) ? [] : [key]));
}

/** What is wrong, a line each. */
export function mistakes(folder = root) {
  const { exports } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  return Object.entries(exports).flatMap(([entry, { import: { types } = {} }]) => {
    if (types === undefined) return [];
    const file = path.join(folder, types);
    const { exports: passedOn, declarations } = parsed(file);
    const names = [...passedOn.keys(), ...declarations.keys()];
    if (names.length === 0) return [`${entry} exports nothing`];
    const sources = names.map((name) => origin({ file, name }));
    const known = new Set(sources.map(keyOf));
    return sources.flatMap((source) => [
      ...namedBy(source)
        .filter((used) => !known.has(keyOf(origin(used))))
        .map((used) => `${entry} does not export ${used.name}, which ${source.name} names`),
      ...strictKeys(source).map((key) => `${entry}: the key ${key} of ${source.name} does not take undefined`),
    ]);
  });
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const found = mistakes(process.argv[2]);
  console.log(found.join('\n') || 'Each entry point exports the types that it names');
  if (found.length > 0) process.exitCode = 1;
}

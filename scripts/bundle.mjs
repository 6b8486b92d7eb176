// Writes the JavaScript of dist/: one ES module for each entry point and a few chunks that they share, one CommonJS file for each entry
// point, and one file with all that is loaded late. Each file costs the host time when its process starts. The compiler writes the
// declarations beside them, file by file; here those that no entry point leads to are deleted, and the others are copied for CommonJS.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import path from 'node:path';
import { build } from 'esbuild';

const { exports, bin, version } = JSON.parse(readFileSync('package.json', 'utf8'));
const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.import.default]));
const [main] = entries;
const others = [...entries.slice(1), ...Object.values(bin)];
const sourceOf = (file) => file.replace(/^(?:\.\/)?dist\//, 'src/').replace(/\.js$/, '.ts');

/** What ES modules import from their package, so that a host has one copy of each; the main entry contains eventemitter3. */
const EXTERNAL = ['eventemitter3', 'p-queue', 'p-retry', 'node-fetch'];

/**
 * What https-proxy-agent and node-fetch import and we never use: lines for debugging, which hold URLs, and Kerberos, whose optional packages
 * bundlers warn of; and what gives a realm without web streams those of Node, in its globals.
 */
const UNUSED = {
  debug: 'export default () => () => undefined;',
  'proxy-agent-negotiate': "export function createNegotiateAuth() { throw new Error('not part of this package'); }",
  './streams.cjs': '',
};
const withoutUnused = {
  name: 'without-unused',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(?:debug|proxy-agent-negotiate|\.\/streams\.cjs)$/ }, ({ path: name }) => ({ path: name, namespace: 'unused' }));
    onLoad({ filter: /.*/, namespace: 'unused' }, ({ path: name }) => ({ contents: UNUSED[name] }));
  },
};

/**
 * A bundle that runs in another place cannot ask its package.json. Without white space an import takes two to four percent less time, and
 * a `require` seven. Names stay, for stacks; lines are short, since Node prints the line of an uncaught error.
 */
const COMMON = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  define: { PACKAGE_VERSION: JSON.stringify(version) },
  legalComments: 'none',
  minifyWhitespace: true,
  lineLimit: 240,
  metafile: true,
  logLevel: 'warning',
};

/**
 * Modules of Node in CommonJS: by a function of `process`, since a test runner refuses `require` after it has torn down its world, and one
 * that runs them in a world of its own may replace what they give.
 */
const builtinsByProcess = {
  name: 'builtins-by-process',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z]/ }, ({ path: name }) => (isBuiltin(name) ? { path: name, namespace: 'builtin' } : undefined));
    onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path: name }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(name)});`,
    }));
  },
};

const COMMON_JS = {
  ...COMMON,
  format: 'cjs',
  plugins: [withoutUnused, builtinsByProcess],
  // What asks for the place of its file does without it.
  logOverride: { 'empty-import-meta': 'silent' },
};

const LATE = 'dist/cosmos-telemetry-late.cjs';
withLicenses((await build({ ...COMMON_JS, entryPoints: ['src/delivery/late-modules.ts'], outfile: LATE })).metafile);
withOwnExports(LATE);
/** Only this file is run as what is loaded late: see `late.ts`. */
const lateSha256 = createHash('sha256').update(readFileSync(LATE)).digest('hex');

/** As a package it is two files and a load of CommonJS, which takes a third of the import. This form of it needs no helper from a chunk. */
const BUNDLED_BUS = { eventemitter3: './node_modules/eventemitter3/dist/eventemitter3.esm.js' };

/** Entry points of a group share their code. The main one is alone, so that a host loads a single file. */
for (const { files, alias } of [{ files: [main], alias: BUNDLED_BUS }, { files: others }]) {
  const { metafile } = await build({
    ...COMMON,
    define: { ...COMMON.define, LATE_SHA256: JSON.stringify(lateSha256) },
    entryPoints: files.map(sourceOf),
    outdir: 'dist',
    outbase: 'src',
    chunkNames: 'chunks/[name]-[hash]',
    splitting: true,
    format: 'esm',
    // publint, and bundlers that guess, take a file for an ES module if such a statement begins a line.
    footer: { js: 'export {};' },
    alias,
    external: EXTERNAL.flatMap((name) => [name, `${name}/*`]),
    plugins: [withoutUnused],
    sourcemap: true,
    sourcesContent: false,
  });
  // Each file costs time at the start, packages included. So what is loaded late shares nothing with the main entry but values it is handed.
  const written = metafile.outputs[path.posix.normalize(main)];
  const other = written?.imports.find(({ kind }) => kind === 'import-statement');
  if (other !== undefined) throw new Error(`${main} is more than one file: it imports ${other.path}`);
  withLicenses(metafile);
}

for (const file of entries) {
  const outfile = file.replace(/\.js$/, '.cjs');
  const { metafile } = await build({ ...COMMON_JS, entryPoints: [sourceOf(file)], outfile });
  withLicenses(metafile);
  withOwnExports(outfile);
}

/** The helper of esbuild that exports takes inherited names, too: with any on a polluted `Object.prototype`, the load would throw. */
function withOwnExports(file) {
  const code = readFileSync(file, 'utf8');
  const own = code.replace('for(var name in all)__defProp', 'for(var name of Object.keys(all))__defProp');
  if (own === code) throw new Error(`${file} has no such helper: is it still needed?`);
  writeFileSync(file, own);
}

/** Adds the licenses of the packages that bundles contain, as a comment at their end. Only the build tells which packages these are. */
function withLicenses({ outputs }) {
  for (const [file, { inputs }] of Object.entries(outputs)) {
    const used = Object.keys(inputs).flatMap((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []);
    const texts = Array.from(new Set(used), licenseOf);
    if (texts.length === 0 || file.endsWith('.map')) continue;
    const comment = `/*\nThis file contains these packages:\n\n${texts.join('\n\n').replaceAll('*/', '* /')}\n*/\n`;
    writeFileSync(file, `${readFileSync(file, 'utf8')}${comment}`);
  }
}

function readmeLicense(folder) {
  const [, text = ''] =
    /\nlicense\n-+\n([\s\S]+)$|\n#+ license\n([\s\S]+)$/i.exec(readFileSync(path.join(folder, 'README.md'), 'utf8')) ?? [];
  return text.trim();
}

function licenseOf(folder) {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const { name, version: packageVersion } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  // A package without such a file has its license at the end of its README.
  const text = file === undefined ? readmeLicense(folder) : readFileSync(path.join(folder, file), 'utf8').trim();
  if (!/permission|redistribution/i.test(text)) throw new Error(`The text of the license of ${name} is not in its package`);
  return `${name} ${packageVersion}\n\n${text}`;
}

/** The declarations that a user's compiler may read. The others are internal, and some of them need `@types/node`. */
const published = new Set();
function publish(file) {
  if (published.has(file)) return;
  published.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/(?:\bfrom |\bimport\()['"](\.[^'"]+)\.js['"]/g)) {
    publish(path.join(path.dirname(file), `${name}.d.ts`));
  }
}
for (const file of entries) publish(path.normalize(file.replace(/\.js$/, '.d.ts')));
for (const name of readdirSync('dist', { recursive: true, encoding: 'utf8' })) {
  const file = path.join('dist', name);
  if (/\.d\.ts(?:\.map)?$/.test(file) && !published.has(file.replace(/\.map$/, ''))) rmSync(file);
}

// TypeScript takes the declarations beside an ES module for those of an ES module.
for (const name of readdirSync('dist', { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.d.ts')) continue;
  const file = path.join('dist', name);
  const text = readFileSync(file, 'utf8').replaceAll(/(['"])(\.{1,2}\/[^'"]+)\.js\1/g, '$1$2.cjs$1');
  writeFileSync(file.replace(/\.ts$/, '.cts'), text.replace(/\n\/\/# sourceMappingURL=.*\n?$/, '\n'));
}

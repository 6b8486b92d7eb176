// Writes the JavaScript of dist/: one file for each entry point, and a few chunks that they share. Each file costs the host time when its
// process starts. The compiler writes the declarations beside them, file by file. Dependencies are not bundled, except into the spare.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const main = exports['.'].default;
const others = [...Object.values(exports).map((entry) => entry.default), ...Object.values(bin)].filter(
  (file) => file !== undefined && file !== main,
);

/** Entry points of a group share their code. The main one is alone, so that a host loads a single file. */
for (const files of [[main], others]) {
  const { metafile } = await build({
    entryPoints: files.map((file) => file.replace(/^(?:\.\/)?dist\//, 'src/').replace(/\.js$/, '.ts')),
    outdir: 'dist',
    outbase: 'src',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'none',
    // Not minified: Node prints the source line of an uncaught error, and a minified line has up to 60,000 characters.
    // The import takes the same time, 14 to 15 ms here.
    minify: false,
    metafile: true,
    logLevel: 'warning',
  });
  // What is loaded late may share nothing with the main entry but what it is handed as a value.
  const written = metafile.outputs[path.posix.normalize(main)];
  const shared = written?.imports.find(({ kind, external }) => kind === 'import-statement' && external !== true);
  if (shared !== undefined) throw new Error(`${main} is more than one file: it imports ${shared.path}`);
}

const SPARE = {
  entryPoints: ['src/delivery/spare.ts'],
  outfile: 'dist/cosmos-telemetry-spare.cjs',
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  // Required only by a Node without web streams, and larger than all the rest.
  external: ['web-streams-polyfill'],
  // The spare does not look for a spare.
  logOverride: { 'empty-import-meta': 'silent' },
  minify: false,
  metafile: true,
  write: false,
  logLevel: 'warning',
};

/** The licenses of the packages that a bundle contains, as a comment. */
function licensesOf({ inputs }) {
  const folders = new Set(Object.keys(inputs).flatMap((file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []));
  const texts = Array.from(folders, (folder) => {
    const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
    const { name, version, license, author } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const text = file === undefined ? `${license}, by ${author?.name ?? author}` : readFileSync(path.join(folder, file), 'utf8').trim();
    return `${name} ${version}\n\n${text}`;
  });
  return `/*\nThis file contains these packages:\n\n${texts.join('\n\n').replaceAll('*/', '* /')}\n*/`;
}

// Only the build tells which packages it contains.
const { metafile, outputFiles } = await build(SPARE);
writeFileSync(SPARE.outfile, `${outputFiles[0].text}${licensesOf(metafile)}\n`);

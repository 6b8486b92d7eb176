// Writes the JavaScript of dist/: one file for each entry point, and a few chunks that they share. Each file costs the host time when its
// process starts. The compiler writes the declarations beside them, file by file. Dependencies are not bundled.
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const main = exports['.'].default;
const others = [...Object.values(exports).map((entry) => entry.default), ...Object.values(bin)].filter(
  (file) => file !== undefined && file !== main,
);

/** Entry points of a group share their code. The main one is alone, so that a host loads a single file. */
for (const files of [[main], others]) {
  await build({
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
    logLevel: 'warning',
  });
}

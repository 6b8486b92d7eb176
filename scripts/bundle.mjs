// Writes the JavaScript of dist/: a file for each entry point and few that they share, since a host pays for each file at the
// start of its process. The declarations beside them come from the compiler, file by file. Dependencies stay where they are.
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

const { exports, bin } = JSON.parse(readFileSync('package.json', 'utf8'));
const main = exports['.'].default;
const others = [...Object.values(exports).map((entry) => entry.default), ...Object.values(bin)].filter(
  (file) => file !== undefined && file !== main,
);

/** Entry points that share their code. The main one shares nothing, so that it stays in one piece: it is what a host loads. */
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
    // White space and long forms cost a host time at its start. Names stay, for whoever reads a stack.
    minifyWhitespace: true,
    minifySyntax: true,
    logLevel: 'warning',
  });
}

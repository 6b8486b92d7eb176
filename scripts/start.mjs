// The program behind `npm start`. It prints its first line before it loads anything, bundles the demonstration of examples/quick-start.ts
// with src/ into build/start, which takes a tenth of a second and leaves nothing stale, and runs it.
import { rmSync } from 'node:fs';
import path from 'node:path';

console.log(`cosmos-telemetry, Node ${process.versions.node}. All stays on 127.0.0.1.`);
const root = path.join(import.meta.dirname, '..');
const outdir = path.join(root, 'build', 'start');
rmSync(outdir, { recursive: true, force: true });
const { build, stop } = await import('esbuild').catch((error) => {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  console.error('Run `npm ci` first.');
  process.exit(1);
});
const programs = ['quick-start', 'quick-start/with-telemetry', 'quick-start/by-hand'];
await build({
  absWorkingDir: root,
  entryPoints: programs.map((program) => `examples/${program}.ts`),
  outbase: 'examples',
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
});
await stop();
await import('../build/start/quick-start.js');

// Runs the fuzz tests with 100,000 runs per property, or as many as the argument says: npm run fuzz -- 10000
// FUZZ_SEED=… npm run fuzz repeats the inputs of a seed.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const FUZZ_RUNS = process.argv[2] ?? '100000';
const ava = fileURLToPath(new URL('../node_modules/ava/entrypoints/cli.mjs', import.meta.url));
const child = spawn(process.execPath, [ava, 'build/test/fuzz.test.js', '--timeout=60m'], {
  env: { ...process.env, FUZZ_RUNS },
  stdio: 'inherit',
});
child.once('close', (code) => {
  process.exitCode = code ?? 1;
});

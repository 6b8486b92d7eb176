// Runs each fuzz test 100,000 times, or as often as the argument says. To repeat a seed: FUZZ_SEED=… npm run fuzz
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

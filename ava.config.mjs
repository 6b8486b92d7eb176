import { statfsSync } from 'node:fs';
import path from 'node:path';

/** Test files that wait for timers and children most of their time, the longest first: other files use the processor meanwhile. */
const WAITING = ['examples', 'process-exit', 'process', 'bin', 'command', 'secrets', 'fault-matrix', 'zero-trace', 'core', 'fuzz'];

const rank = (file) => {
  const index = WAITING.indexOf(path.basename(file, '.test.js'));
  return index === -1 ? WAITING.length : index;
};

/** Temporary files in memory, where the system has room for them: tests make many, and `test:deploy` flushes them to the disk. */
function temporary() {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm');
    return bavail * bsize > 2 ** 30 ? { TMPDIR: '/dev/shm' } : {};
  } catch {
    return {};
  }
}

// AVA runs compiled JavaScript, so the compiler checks the types of the tests.
export default {
  // The tests that take minutes have scripts of their own: see ava.full.config.mjs and ava.relay.config.mjs.
  files: ['build/test/**/*.test.js', '!build/test/full/**'],
  // Keeps the tests on the loopback interface, and off a slow disk.
  require: ['./build/test/helpers/guard.js'],
  // One more than the cores of the smallest machine of CI.
  concurrency: 3,
  sortTestFiles: (one, other) => rank(one) - rank(other) || one.localeCompare(other),
  timeout: '60s',
  environmentVariables: temporary(),
};

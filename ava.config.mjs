import { statfsSync } from 'node:fs';
import path from 'node:path';

/** Test files that wait for timers and children most of their time, the longest first: other files use the processor meanwhile. */
const WAITING = ['examples', 'process-exit', 'process', 'bin', 'command', 'secrets', 'fault-matrix', 'zero-trace', 'core', 'fuzz'];

const rank = (file) => {
  const index = WAITING.indexOf(path.basename(file, '.test.js'));
  return index === -1 ? WAITING.length : index;
};

/**
 * Temporary files in memory, where the system has room for them: a disk that is busy for half a second makes a relay answer 200 instead of
 * 204, as it should, and a test fail.
 */
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
  // Keeps the tests on the loopback interface.
  require: ['./build/test/helpers/loopback-only.js'],
  // One more than the cores of the smallest machine of CI.
  concurrency: 3,
  sortTestFiles: (one, other) => rank(one) - rank(other) || one.localeCompare(other),
  timeout: '60s',
  environmentVariables: temporary(),
};

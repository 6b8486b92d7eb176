// Tests that are too long for `npm test`: `npm run test:faults`.
export default {
  files: ['build/test/full/**/*.test.js'],
  // Keeps the tests on the loopback interface, and off a slow disk.
  require: ['./build/test/helpers/guard.js'],
  timeout: '60s',
};

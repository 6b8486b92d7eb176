// Tests that are too long for `npm test`: `npm run test:faults`.
export default {
  files: ['build/test/full/**/*.test.js'],
  // Refuses connections to other machines.
  require: ['./build/test/helpers/loopback-only.js'],
  timeout: '60s',
};

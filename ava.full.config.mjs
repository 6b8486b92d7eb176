// `npm run test:faults`: too long for every `npm test`.
export default {
  files: ['build/test/full/**/*.test.js'],
  // Keeps the tests on the loopback interface.
  require: ['./build/test/helpers/loopback-only.js'],
  timeout: '60s',
};

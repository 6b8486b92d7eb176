// What is too long for every `npm test`: `npm run test:faults`.
export default {
  files: ['build/test/full/**/*.test.js'],
  // Nobody but this machine is contacted.
  require: ['./build/test/helpers/loopback-only.js'],
  timeout: '60s',
};

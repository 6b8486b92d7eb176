// What is too long for every `npm test`: `npm run test:faults`.
export default {
  files: ['build/test/full/**/*.test.js'],
  timeout: '60s',
};

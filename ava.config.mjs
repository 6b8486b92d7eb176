// The tests run as compiled JavaScript: what is tested is what is published, and the tests are type-checked on the way.
export default {
  files: ['build/test/**/*.test.js'],
  timeout: '60s',
};

// The tests run as compiled JavaScript: what is tested is what is published, and the tests are type-checked on the way.
export default {
  // What takes minutes has scripts of its own: see ava.full.config.mjs.
  files: ['build/test/**/*.test.js', '!build/test/full/**'],
  // Nobody but this machine is contacted.
  require: ['./build/test/helpers/loopback-only.js'],
  timeout: '60s',
};

// The tests run as compiled JavaScript, like the published code, and compiling checks their types.
export default {
  // Tests that take minutes have their own scripts: see ava.full.config.mjs.
  files: ['build/test/**/*.test.js', '!build/test/full/**'],
  // Refuses connections to other machines.
  require: ['./build/test/helpers/loopback-only.js'],
  timeout: '60s',
};

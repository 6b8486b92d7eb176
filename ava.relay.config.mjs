// The relay in earnest, which takes minutes: `npm run test:relay`.
export default {
  files: ['build/test/relay/fuzz.test.js', 'build/test/relay/sigkill.test.js'],
  // Nobody but this machine is contacted.
  require: ['./build/test/helpers/loopback-only.js'],
  environmentVariables: { RELAY_KILLS: '10', RELAY_FUZZ: '20000' },
  timeout: '10m',
};

// The relay in earnest, which takes minutes: `npm run test:relay`.
export default {
  files: ['fuzz', 'sigkill', 'spool/kill', 'spool/lock', 'spool/model'].map((name) => `build/test/relay/${name}.test.js`),
  // Nobody but this machine is contacted.
  require: ['./build/test/helpers/loopback-only.js'],
  environmentVariables: {
    RELAY_KILLS: '10',
    RELAY_FUZZ: '20000',
    SPOOL_KILLS: '40',
    SPOOL_RACERS: '8',
    SPOOL_RACES: '10',
    SPOOL_RUNS: '100',
  },
  timeout: '10m',
};

// `npm run test:relay`: the random and the kill tests of the relay with more runs, which takes minutes.
import base from './ava.config.mjs';

export default {
  files: ['fuzz', 'sigkill', 'spool/kill', 'spool/lock', 'spool/model'].map((name) => `build/test/relay/${name}.test.js`),
  // Keeps the tests on the loopback interface, and off a slow disk.
  require: ['./build/test/helpers/guard.js'],
  environmentVariables: {
    ...base.environmentVariables,
    RELAY_KILLS: '10',
    RELAY_FUZZ: '20000',
    SPOOL_KILLS: '40',
    SPOOL_RACERS: '8',
    SPOOL_RACES: '10',
    SPOOL_RUNS: '100',
  },
  timeout: '10m',
};

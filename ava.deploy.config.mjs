// `npm run test:deploy`: the files of `deploy/` against schemas, promtool and real relays of `dist/`.
import base from './ava.config.mjs';

export default {
  files: ['deploy/*.test.mjs'],
  environmentVariables: base.environmentVariables,
  timeout: '120s',
};

// `npm run test:deploy`: the files of `deploy/` against schemas, promtool and real relays of `dist/`.
export default {
  files: ['deploy/*.test.mjs'],
  timeout: '120s',
};

// Sentry listens to Node's own diagnostics channels instead of patching http.
import * as Sentry from '@sentry/node';
Sentry.init({
  dsn: `http://key@127.0.0.1:${process.env.INTAKE_PORT}/1`,
  tracesSampleRate: 1,
  tracePropagationTargets: [/.*/],
});
globalThis.finishedSpans = async () => {
  await Sentry.flush(2000);
  return [];
};

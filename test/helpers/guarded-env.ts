/**
 * The environment of a child process, with the guard of the tests. A child counts no coverage unless `env` has
 * NODE_V8_COVERAGE: counting takes time, and most children run code that is built, or that the tests cover themselves.
 */
export function guardedEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const guard = new URL('guard.js', import.meta.url).href;
  return { NODE_V8_COVERAGE: '', ...env, NODE_OPTIONS: `${env['NODE_OPTIONS'] ?? ''} --import=${guard}`.trim() };
}

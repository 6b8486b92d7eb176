/**
 * The environment of a process that a test starts, with the guard that keeps it on the loopback interface. Such a process counts its
 * coverage only where that is asked for: most run what is built, or what the tests run themselves, and counting takes time.
 */
export function guardedEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const guard = new URL('loopback-only.js', import.meta.url).href;
  return { NODE_V8_COVERAGE: '', ...env, NODE_OPTIONS: `${env['NODE_OPTIONS'] ?? ''} --import=${guard}`.trim() };
}

/** The environment of a process that a test starts, with the guard that keeps it on the loopback interface. */
export function guardedEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const guard = new URL('loopback-only.js', import.meta.url).href;
  return { ...env, NODE_OPTIONS: `${env['NODE_OPTIONS'] ?? ''} --import=${guard}`.trim() };
}

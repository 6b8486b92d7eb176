// A relay, or a bare server of node:http, in its own process.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * @param kind `relay`, or `bare`: a server that answers 204
 * @param options those of `createRelay`
 * @param flags flags for Node
 */
export async function startServer(kind, options = {}, flags = []) {
  const startedAtMs = performance.now();
  const child = fork(new URL('server-main.mjs', import.meta.url), [kind, JSON.stringify(options)], {
    execArgv: [...process.execArgv, ...flags],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the ${kind} server ended with ${code}`);
  });
  // It ends as asked, too.
  failed.catch(() => {});
  const answer = async () => (await Promise.race([once(child, 'message'), failed]))[0];
  const { url } = await answer();
  return {
    url,
    /** From the start of the process until it listened, in milliseconds. */
    startMs: performance.now() - startedAtMs,
    /** @param collects whether to collect garbage first; needs `--expose-gc` */
    ask(collects = false) {
      child.send({ collects });
      return answer();
    },
    async close() {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    },
  };
}

/** Runs `use` with the path of an empty folder, and deletes it. */
export async function withFolder(use) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-spool-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Waiting for a condition with a time limit.
import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until the answer is neither false nor undefined. Rejects after `timeoutMs` with the name of the condition. @returns The answer. */
export async function until(what, ask, { timeoutMs = 60_000, everyMs = 100 } = {}) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`Timed out after ${timeoutMs} ms waiting for ${typeof what === 'function' ? what() : what}`);
    await sleep(everyMs);
  }
}

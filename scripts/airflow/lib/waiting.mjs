// Waiting for a condition, and for no longer than said.
import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until the answer is neither false nor undefined. Rejects after `timeoutMs`, naming what was waited for. @returns The answer. */
export async function until(what, ask, { timeoutMs = 60_000, everyMs = 100 } = {}) {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > end) throw new Error(`Waited ${timeoutMs} ms in vain for ${typeof what === 'function' ? what() : what}`);
    await sleep(everyMs);
  }
}

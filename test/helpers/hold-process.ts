// What a client waits for holds no process, and AVA ends a test whose process has nothing else to do.
import type { TestFn } from 'ava';

/** Holds the process of a test file until its tests have ended. */
export function holdProcess(test: TestFn): void {
  const hold = setInterval(() => undefined, 60_000);
  test.after.always(() => clearInterval(hold));
}

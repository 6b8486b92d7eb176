// dd-trace. Its spans go to the loopback intake, as they would to an agent on the machine.
import { setTimeout as sleep } from 'node:timers/promises';
globalThis.finishedSpans = async () => {
  await sleep(1500);
  return [];
};

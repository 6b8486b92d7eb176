// The clock of the machine.
import { once } from 'node:events';
import test from 'ava';
import { systemClock } from '../../src/base/clock.js';

test('a delay that is negative, or no number, is one of no time, and Node prints no warning of it', async (t) => {
  const warnings: string[] = [];
  const note = ({ name }: Error): void => void warnings.push(name);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  for (const delayMs of [-24.2, -Infinity, Number.NaN, 0]) {
    await new Promise<void>((resolve) => {
      systemClock.setTimeout(resolve, delayMs);
    });
  }
  // Warnings come later, in the order in which they are made.
  process.emitWarning('the last one', { type: 'Last' });
  if (!warnings.includes('Last')) await once(process, 'warning');
  t.deepEqual(warnings, ['Last']);
});

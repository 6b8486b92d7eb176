// A process with a spool of its own. Arguments: a directory, a task, and for the task `umask` the umask in octal.
// `hold` opens the spool, writes the result as one line, and runs until its input ends. `umask` stores one event and ends without closing.
// `idle` opens the spool and does nothing more. `load` appends, takes, puts back and settles until it is killed. Its lines say what it has
// done or is about to do: `a` acknowledged, `t` taken, `p` about to be put back, `s` about to be settled, `d` settled.
import { writeSync } from 'node:fs';
import { Log } from '../../../src/base/log.js';
import { openSpool, SpoolError } from '../../../src/relay/spool/index.js';
import type { RelayStore, StoredEvent } from '../../../src/delivery/relay-store.js';
import { systemClock } from '../../../src/base/clock.js';
import type { Clock } from '../../../src/base/clock.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';

const [directory = '', task = '', umask = '077'] = process.argv.slice(2);

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const open = (clock: Clock = systemClock): Promise<RelayStore> =>
  openSpool({ directory, segmentBytes: 8192, clock, log: new Log(undefined, clock), onStored: () => {} });

async function hold(): Promise<void> {
  try {
    await open();
    say('won');
    process.stdin.resume();
  } catch (error) {
    if (!(error instanceof SpoolError)) throw error;
    say(error.code);
  }
}

function numbers(events: readonly StoredEvent[]): string {
  return events.map(({ target }) => target.slice(1, target.indexOf('?'))).join(' ');
}

async function load(): Promise<void> {
  const store = await open();
  let next = 0;
  const append = async (): Promise<void> => {
    for (;;) {
      const number = (next += 1);
      const stored = await store.append(`/${number}?${'x'.repeat(100)}`);
      say(`${stored === 'disk' ? 'a' : stored} ${number}`);
    }
  };
  const deliver = async (): Promise<void> => {
    for (let round = 0; ; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      const taken = store.take(3);
      if (taken.length === 0) continue;
      say(`t ${numbers(taken)}`);
      await new Promise((resolve) => setImmediate(resolve));
      if (round % 5 === 0) {
        say(`p ${numbers(taken)}`);
        store.putBack(taken);
      } else {
        say(`s ${numbers(taken)}`);
        store.settle(taken);
        say(`d ${numbers(taken)}`);
      }
    }
  };
  await Promise.all([...Array.from({ length: 8 }, append), deliver(), deliver()]);
}

if (task === 'hold') await hold();
else if (task === 'load') await load();
else {
  process.umask(Number.parseInt(umask, 8));
  // On this clock no time passes: a disk that is busy for a moment is waited for.
  const store = await open(new VirtualClock());
  if (task === 'umask') say(await store.append('/a'));
}

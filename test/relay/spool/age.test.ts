import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { machineBoot } from '../../../src/relay/spool/age.js';
import { memoryStore } from '../../../src/relay/spool/index.js';
import type { RelayStore } from '../../../src/delivery/relay-store.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';
import { proves } from '../../helpers/promises.js';
import { FaultyFiles } from './faulty-files.js';
import { appendAll, freshDirectory, openRig, targetsOf, turn } from './rig.js';
import type { RigOptions } from './rig.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const NOW = Date.UTC(2026, 0, 1);

/** A machine with a spool. Its boots have ids; each process has its own monotonic clock, and a kill -9 loses nothing that was written. */
class Machine {
  readonly directory: string;
  wallMs = NOW;
  uptimeMs = 5 * MINUTE;
  hasBootId = true;
  readonly #t: ExecutionContext;
  #boot = 1;
  #clock = new VirtualClock();
  /** The log lines of the running process. */
  lines: string[] = [];

  constructor(t: ExecutionContext) {
    this.#t = t;
    this.directory = freshDirectory(t);
  }

  /** Starts the relay on what its predecessor left: the copy of a directory is what a kill -9 leaves. */
  async start(options: Omit<RigOptions, 'directory'> = {}): Promise<RelayStore> {
    const clock = new VirtualClock({ wallStartMs: this.wallMs });
    this.#clock = clock;
    const bootAtMs = this.uptimeMs;
    const id = String(this.#boot).padStart(8, '0');
    const boot = () => (this.hasBootId ? { id, uptimeMs: bootAtMs + clock.nowMs + this.#suspendedMs } : undefined);
    this.#suspendedMs = 0;
    const { store, lines } = await openRig(this.#t, { directory: this.#copy(), clock, boot, ...options });
    this.lines = lines;
    return store;
  }

  #suspendedMs = 0;
  #current = '';

  /** What is on disk now, without the lock. */
  #copy(): string {
    const copy = freshDirectory(this.#t);
    if (this.#current !== '') {
      mkdirSync(copy, { mode: 0o700 });
      for (const name of readdirSync(this.#current))
        if (!name.startsWith('lock')) copyFileSync(join(this.#current, name), join(copy, name));
    }
    this.#current = copy;
    return copy;
  }

  path(name: string): string {
    return join(this.#current, name);
  }

  /** Time passes while the relay runs; as the pump does, it looks for expired events, here once in `stepMs`. @returns How many expired. */
  run(store: RelayStore, ms: number, stepMs = MINUTE): number {
    let expired = 0;
    for (let doneMs = 0; doneMs < ms; doneMs += stepMs) {
      const step = Math.min(stepMs, ms - doneMs);
      this.#clock.nowMs += step;
      this.wallMs += step;
      this.uptimeMs += step;
      expired += store.expire();
    }
    return expired;
  }

  /** Time passes while the relay does not run. */
  pass(ms: number): void {
    this.wallMs += ms;
    this.uptimeMs += ms;
  }

  /** Only the wall clock moves. */
  setWallBy(ms: number): void {
    this.wallMs += ms;
    this.#clock.jumpWall(ms);
  }

  /** The process sees it on the wall clock and on the uptime, but not on the monotonic clock. */
  suspend(ms: number): void {
    this.setWallBy(ms);
    this.uptimeMs += ms;
    this.#suspendedMs += ms;
  }

  /** Another boot. `wallByMs`: what the wall clock says of the time without power. */
  reboot(wallByMs: number): void {
    this.wallMs += wallByMs;
    this.uptimeMs = MINUTE;
    this.#boot += 1;
  }

  clockLines(): string[] {
    return this.lines.filter((line) => line.includes(' spool_clock: '));
  }
}

const wrongClocks = { '1970': -56 * YEAR, '2001': -25 * YEAR, '25 hours behind': -25 * HOUR, 'a year ahead': YEAR };

for (const [name, wrongByMs] of Object.entries(wrongClocks)) {
  test(proves('relay-clock', `in one boot a wall clock that was at ${name} makes no event old or young`), async (t) => {
    const machine = new Machine(t);
    machine.setWallBy(wrongByMs);
    const first = await machine.start();
    await appendAll(t, first, ['/a']);
    t.is(machine.run(first, HOUR), 0);
    await appendAll(t, first, ['/b']);
    machine.setWallBy(-wrongByMs);
    machine.pass(HOUR);
    const second = await machine.start();
    t.is(second.expire(), 0);
    t.deepEqual([machine.run(second, 22 * HOUR), second.length, machine.clockLines()], [0, 2, []]);
    t.is(machine.run(second, MINUTE), 1);
    t.deepEqual([machine.run(second, HOUR - MINUTE), machine.run(second, MINUTE)], [0, 1]);
  });

  test(
    proves('relay-clock', `a wall clock that was at ${name} and is set while the relay runs costs no event at the next boot`),
    async (t) => {
      for (const hasBootId of [true, false]) {
        const machine = new Machine(t);
        machine.hasBootId = hasBootId;
        machine.setWallBy(wrongByMs);
        const first = await machine.start();
        await appendAll(t, first, ['/a']);
        machine.run(first, HOUR);
        machine.setWallBy(-wrongByMs);
        machine.run(first, 1000, 1000);
        machine.reboot(HOUR);
        const second = await machine.start();
        t.deepEqual([second.expire(), second.length, machine.clockLines()], [0, 1, []]);
        t.is(machine.run(second, 22 * HOUR - MINUTE), 0);
        t.is(machine.run(second, 2 * MINUTE), 1, 'the hours before the boot count');
      }
    },
  );
}

test(
  proves('relay-clock', 'at another boot a wall clock counts up to seven days, else the age starts anew, with one warning'),
  async (t) => {
    for (const [gapMs, isTrusted] of [
      [1000, true],
      [23 * HOUR, true],
      [-1, false],
      [-56 * YEAR + 30 * DAY, false],
      [7 * DAY, true],
      [7 * DAY + 1, false],
      [56 * YEAR, false],
    ] as const) {
      const machine = new Machine(t);
      const first = await machine.start({ maxAgeMs: 8 * DAY });
      await appendAll(t, first, ['/a', '/b']);
      machine.reboot(gapMs);
      const second = await machine.start({ maxAgeMs: 8 * DAY });
      const leftMs = isTrusted ? 8 * DAY - gapMs : 8 * DAY;
      t.is(machine.run(second, leftMs, HOUR), 0, `${gapMs} ms`);
      t.is(machine.run(second, 1), 2, `${gapMs} ms`);
      const warning =
        '[telemetry] spool_clock: the clock of the machine does not tell how long the relay was off: ' +
        'the age of 2 events in the spool starts anew, once';
      t.deepEqual(machine.clockLines(), isTrusted ? [] : [warning], `${gapMs} ms`);
    }
  },
);

test(
  proves('relay-age-bound', 'with a wall clock that is wrong at each boot, an event is gone after twice its age of running time'),
  async (t) => {
    for (const hasBootId of [true, false]) {
      for (const [runMs, maxAgeMs] of [
        [500, MINUTE],
        [1500, 10 * MINUTE],
        [30_000, HOUR],
        [10 * MINUTE, HOUR],
        [45 * MINUTE, HOUR],
      ] as const) {
        const machine = new Machine(t);
        machine.hasBootId = hasBootId;
        let store = await machine.start({ maxAgeMs });
        await appendAll(t, store, ['/a']);
        let [ranMs, boots, warnings] = [0, 0, 0];
        while (store.length > 0 && ranMs < 4 * maxAgeMs) {
          machine.run(store, runMs, 1000);
          ranMs += runMs;
          boots += 1;
          // The clock starts at the same moment each time, as without a battery.
          machine.wallMs = NOW;
          machine.reboot(-YEAR);
          store = await machine.start({ maxAgeMs });
          store.expire();
          warnings += machine.clockLines().length;
        }
        t.is(store.length, 0);
        t.is(warnings, 1, 'the age starts anew once');
        t.true(ranMs <= 2 * maxAgeMs + runMs, `${ranMs / MINUTE} minutes in ${boots} boots of ${runMs} ms`);
        t.true(boots > 2, `${boots} boots`);
      }
    }
  },
);

test(proves('relay-age-bound', 'once an age has started anew, what was not saved counts as well at the next wrong clock'), async (t) => {
  const machine = new Machine(t);
  const first = await machine.start({ maxAgeMs: HOUR });
  await appendAll(t, first, ['/a']);
  machine.reboot(-YEAR);
  const second = await machine.start({ maxAgeMs: HOUR });
  t.is(machine.run(second, 20 * MINUTE, 1000), 0);
  machine.reboot(-YEAR);
  const third = await machine.start({ maxAgeMs: HOUR });
  t.deepEqual([machine.run(third, 37 * MINUTE), machine.run(third, 3 * MINUTE)], [0, 1]);
});

test(proves('relay-clock', 'a wall clock that is behind the newest event but not behind the last stamp is wrong, too'), async (t) => {
  const machine = new Machine(t);
  const first = await machine.start({ maxAgeMs: HOUR });
  await appendAll(t, first, ['/a']);
  machine.run(first, 50_000, 1000);
  await appendAll(t, first, ['/b']);
  machine.reboot(-10_000);
  const second = await machine.start({ maxAgeMs: HOUR });
  t.is(machine.clockLines().length, 1);
  t.deepEqual([machine.run(second, HOUR), machine.run(second, 1)], [0, 2]);
});

test(proves('relay-age-bound', 'many restarts in one boot, each with another wall clock, add nothing to an age'), async (t) => {
  const machine = new Machine(t);
  let store = await machine.start({ maxAgeMs: HOUR });
  await appendAll(t, store, ['/a']);
  for (let restart = 0; restart < 59; restart += 1) {
    machine.setWallBy((restart % 2 === 0 ? -1 : 1) * restart * DAY);
    t.is(machine.run(store, MINUTE), 0);
    store = await machine.start({ maxAgeMs: HOUR });
  }
  t.is(machine.run(store, MINUTE), 0);
  t.is(machine.run(store, MINUTE), 1);
});

test('an age goes on through several boots, each with events of its own', async (t) => {
  const machine = new Machine(t);
  let store = await machine.start();
  for (const target of ['/first', '/second', '/third']) {
    await appendAll(t, store, [target]);
    t.is(machine.run(store, HOUR), 0);
    machine.reboot(2 * HOUR);
    store = await machine.start();
  }
  t.is(store.length, 3);
  const gone: [number, string[]][] = [];
  for (let hours = 1; store.length > 0; hours += 1) {
    const before = targetsOf(store.take(9));
    store.putBack(before.map((target, seq) => ({ seq: 3 - before.length + seq, target, acceptedAtMs: 0, mayBeSecond: false })));
    if (machine.run(store, HOUR) > 0) gone.push([hours, before]);
  }
  t.deepEqual(gone, [
    [16, ['/first', '/second', '/third']],
    [19, ['/second', '/third']],
    [22, ['/third']],
  ]);
});

test(proves('relay-clock', 'time in which the machine is suspended counts, and not for an event that comes right after it'), async (t) => {
  const machine = new Machine(t);
  const store = await machine.start();
  await appendAll(t, store, ['/before']);
  machine.run(store, HOUR);
  machine.suspend(23 * HOUR + 1);
  await appendAll(t, store, ['/after']);
  t.deepEqual([store.expire(), store.length], [1, 1]);
  t.deepEqual([machine.run(store, DAY), machine.run(store, 1)], [0, 1]);
});

test('a store in memory counts suspended time, too', async (t) => {
  const clock = new VirtualClock();
  let suspendedMs = 0;
  const boot = () => ({ id: undefined, uptimeMs: clock.nowMs + suspendedMs });
  const store = memoryStore({ clock, boot, maxAgeMs: HOUR, onStored: () => undefined });
  await store.append('/a');
  clock.jumpWall(YEAR);
  t.is(store.expire(), 0, 'the wall clock alone says nothing');
  suspendedMs = HOUR + 1;
  clock.jumpWall(HOUR + 1);
  t.is(store.expire(), 1);
});

test('a boot id that comes back with an earlier uptime, as after a snapshot, is another boot', async (t) => {
  const machine = new Machine(t);
  machine.uptimeMs = 100 * HOUR;
  const first = await machine.start();
  await appendAll(t, first, ['/a']);
  machine.pass(3 * HOUR);
  machine.uptimeMs = HOUR;
  const second = await machine.start();
  await appendAll(t, second, ['/b']);
  machine.run(second, HOUR);
  // And once more, as the first one left it.
  machine.uptimeMs = 200 * HOUR;
  machine.wallMs += HOUR;
  const third = await machine.start();
  t.deepEqual([third.length, machine.clockLines()], [2, []]);
  t.deepEqual([machine.run(third, 19 * HOUR), machine.run(third, MINUTE)], [0, 1]);
  t.deepEqual([machine.run(third, 3 * HOUR - MINUTE), machine.run(third, MINUTE)], [0, 1]);
});

test('ages.json is there while events wait for longer than a second, for its owner alone, and holds no event', async (t) => {
  const machine = new Machine(t);
  const store = await machine.start();
  await appendAll(t, store, ['/secret']);
  t.false(existsSync(machine.path('ages.json')));
  machine.run(store, MINUTE);
  const path = machine.path('ages.json');
  t.is(readFileSync(path, 'utf8'), `{"boot":"00000001","up":${6 * MINUTE},"at":${NOW + MINUTE},"earlier":[]}\n`);
  await turn();
  if (process.platform !== 'win32') t.is(statSync(path).mode & 0o777, 0o600);
  store.clear();
  t.false(existsSync(path), 'nor after an opt-out');
  await appendAll(t, store, ['/a']);
  machine.run(store, MINUTE);
  t.true(existsSync(path));
  store.settle(store.take(1));
  await store.close();
  t.deepEqual(
    readdirSync(join(path, '..')).filter((name) => !name.startsWith('lock')),
    [],
  );
});

test('without ages.json, or with a spoilt one, the lines alone tell the ages', async (t) => {
  const stamp = '"boot":"00000001","up":0,"at":0';
  for (const text of ['', '{', '{"boot', 'null\n', '[]\n', `{${stamp}}\n`, `{"boot":"x","up":0,"at":0,"earlier":[]}\n`, undefined]) {
    const machine = new Machine(t);
    const first = await machine.start();
    await appendAll(t, first, ['/a']);
    machine.run(first, HOUR);
    if (text === undefined) rmSync(machine.path('ages.json'));
    else writeFileSync(machine.path('ages.json'), text);
    machine.reboot(2 * HOUR);
    const second = await machine.start();
    t.deepEqual([machine.run(second, 21 * HOUR), machine.run(second, MINUTE)], [0, 1], text);
    t.deepEqual([second.stats().tornLines, machine.clockLines()], [0, []]);
  }
});

test('rows of ages.json that no spool writes are ignored', async (t) => {
  const rows = [null, {}, [], ['00000001'], [1, 2], ['00000001', '5'], ['00000001', 1e300], ['00000001', 1, 'x'], ['__proto__', 1]];
  const machine = new Machine(t);
  const first = await machine.start();
  await appendAll(t, first, ['/a']);
  machine.run(first, HOUR);
  writeFileSync(machine.path('ages.json'), `{"boot":"0000000f","up":0,"at":0,"earlier":${JSON.stringify(rows)}}\n`);
  machine.reboot(2 * HOUR);
  const second = await machine.start();
  t.deepEqual([machine.run(second, 21 * HOUR), machine.run(second, MINUTE)], [0, 1]);
});

test('a disk that does not take ages.json costs nothing else', async (t) => {
  const machine = new Machine(t);
  const faulty = new FaultyFiles();
  const store = await machine.start({ fs: faulty.files, maxAgeMs: HOUR });
  await appendAll(t, store, ['/a']);
  for (const call of ['openSync', 'writeSync'] as const) {
    faulty.faults.set(call, 'ENOSPC');
    t.is(machine.run(store, 5 * MINUTE), 0);
    faulty.faults.clear();
  }
  t.deepEqual([store.stats().isDurable, machine.lines], [true, []]);
  t.deepEqual([machine.run(store, 50 * MINUTE), machine.run(store, 1)], [0, 1]);
});

test('an ages.json that cannot be deleted costs nothing, and goes at the next end', async (t) => {
  const machine = new Machine(t);
  const faulty = new FaultyFiles();
  const first = await machine.start({ fs: faulty.files });
  await appendAll(t, first, ['/a']);
  machine.run(first, MINUTE);
  faulty.faults.set('unlinkSync', 'EIO');
  first.settle(first.take(1));
  await first.close();
  t.true(existsSync(machine.path('ages.json')));
  const second = await machine.start();
  t.deepEqual([second.length, machine.lines], [0, []]);
  t.false(existsSync(machine.path('ages.json')));
});

test('an event that is written again keeps its age, and that it had started anew', async (t) => {
  const machine = new Machine(t);
  const first = await machine.start({ maxAgeMs: HOUR });
  await appendAll(t, first, ['/a']);
  machine.reboot(-YEAR);
  const second = await machine.start({ maxAgeMs: HOUR });
  t.is(machine.clockLines().length, 1);
  machine.run(second, 30 * MINUTE);
  for (const name of ['events-000001.jsonl', 'marks-000001.txt', 'ages.json']) rmSync(machine.path(name));
  await second.close();
  machine.reboot(-YEAR);
  const third = await machine.start({ maxAgeMs: HOUR });
  t.deepEqual([third.length, machine.clockLines()], [1, []]);
  t.is(machine.run(third, 31 * MINUTE), 1);
});

test('the boot of this machine: its id if that can be read, and the uptime of the machine, also in a time namespace', (t) => {
  const files: Record<string, string> = { '/proc/sys/kernel/random/boot_id': '94fc97dd-4d37-41ee-8ec3-33500bde6e7d\n' };
  const read = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw new Error('ENOENT');
    return text;
  };
  const boot = machineBoot(read, 'linux');
  t.is(boot?.id, '94fc97dd');
  const uptimeMs = boot?.uptimeMs ?? 0;
  t.true(uptimeMs > 0);
  files['/proc/self/timens_offsets'] = 'monotonic           0         0\nboottime       100000         0\n';
  const inNamespaceMs = machineBoot(read, 'linux')?.uptimeMs ?? 0;
  // A millisecond more, since both are rounded.
  t.true(inNamespaceMs >= uptimeMs - 100_000_001 && inNamespaceMs < uptimeMs - 99_000_000, String(inNamespaceMs));
  files['/proc/sys/kernel/random/boot_id'] = 'none';
  t.is(machineBoot(read, 'linux')?.id, undefined);
  const hidden = machineBoot(() => read('hidden'), 'linux');
  t.is(hidden?.id, undefined);
  t.true((hidden?.uptimeMs ?? 0) >= uptimeMs, 'suspended time counts all the same');
  t.is(machineBoot(read, 'darwin'), undefined);
  if (process.platform === 'linux') t.regex(machineBoot()?.id ?? '00000000', /^[0-9a-f]{8}$/);
});

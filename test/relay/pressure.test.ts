import test from 'ava';
import { Pressure } from '../../src/relay/pump.js';
import { VirtualClock } from '../helpers/virtual-clock.js';

function rig() {
  const clock = new VirtualClock();
  const loop = { utilization: 0 };
  return { clock, loop, pressure: new Pressure(clock, () => loop.utilization) };
}

test('it is high where the process is busy and events come in, and only there', (t) => {
  const cases: [utilization: number, events: number, isHigh: boolean][] = [
    [0.95, 100, true],
    [0.5, 20, true],
    [0.49, 100, false],
    [1, 19, false],
  ];
  for (const [utilization, events, isHigh] of cases) {
    const { clock, loop, pressure } = rig();
    loop.utilization = utilization;
    pressure.add(events);
    clock.nowMs = 99;
    t.false(pressure.isHigh);
    clock.nowMs = 100;
    t.is(pressure.isHigh, isHigh, `${utilization} ${events}`);
    clock.nowMs = 199;
    t.is(pressure.isHigh, isHigh);
    clock.nowMs = 200;
    t.false(pressure.isHigh);
  }
});

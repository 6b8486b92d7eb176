import test from 'ava';
import { holdsThePromise } from './helpers/fault-run.js';
import { HOOKS, NETWORK_FAULTS } from './helpers/faults.js';

// One child process per fault, with all hooks. `npm run test:faults` has more faults, and a child for each pair of fault and hook.
for (const fault of NETWORK_FAULTS.filter(({ variant }) => variant !== true)) {
  test(`harmless to its host: ${fault.name}`, (t) => holdsThePromise(t, fault, HOOKS));
}

import test from 'ava';
import { holdsThePromise } from './helpers/fault-run.js';
import { HOOKS, NETWORK_FAULTS } from './helpers/faults.js';

// One child a fault, with all hooks in it. All faults, each with each hook alone: `npm run test:faults`.
for (const fault of NETWORK_FAULTS.filter(({ variant }) => variant !== true)) {
  test(`harmless to its host: ${fault.name}`, (t) => holdsThePromise(t, fault, HOOKS));
}

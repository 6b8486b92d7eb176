import test from 'ava';
import { holdsThePromise } from '../helpers/fault-run.js';
import { HOOKS, NETWORK_FAULTS } from '../helpers/faults.js';

for (const fault of NETWORK_FAULTS) {
  for (const hook of HOOKS) {
    test(`harmless to its host: ${fault.name}, met by ${hook}`, (t) => holdsThePromise(t, fault, [hook]));
  }
}

import test from 'ava';
import { holdsThePromise } from './helpers/fault-run.js';
import { HOOKS } from './helpers/fault-types.js';
import { NETWORK_FAULTS } from './helpers/faults.js';
import { proves } from './helpers/promises.js';

// One child process per fault, with all hooks. `npm run test:faults` has more faults, and a child for each pair of fault and hook.
for (const fault of NETWORK_FAULTS.filter(({ variant }) => variant !== true)) {
  test(proves(['hook-network', 'sent-means-2xx', 'close-deadline'], `harmless to its host: ${fault.name}`), (t) =>
    holdsThePromise(t, fault, HOOKS),
  );
}

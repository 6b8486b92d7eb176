import test from 'ava';
import { holdsThePromise } from '../helpers/fault-run.js';
import { HOOKS } from '../helpers/fault-types.js';
import { NETWORK_FAULTS } from '../helpers/faults.js';
import { proves } from '../helpers/promises.js';

for (const fault of NETWORK_FAULTS) {
  for (const hook of HOOKS) {
    test(proves(['hook-network', 'sent-means-2xx', 'close-deadline'], `harmless to its host: ${fault.name}, met by ${hook}`), (t) =>
      holdsThePromise(t, fault, [hook]),
    );
  }
}

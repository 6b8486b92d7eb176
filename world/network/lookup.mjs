// Prints the addresses that our look-up finds for a name, as JSON. Run in the client's namespace.
import { systemClock } from '../../build/src/base/clock.js';
import { machineNames } from '../../build/src/delivery/http/name-files.js';
import { startLimit } from '../../build/src/delivery/pacing.js';
import { underWay } from '../../build/src/delivery/under-way.js';
import { NameLookup } from '../../build/src/delivery/http/name-lookup.js';

const names = new NameLookup({
  timeoutMs: 5000,
  clock: systemClock,
  startLimit,
  underWay,
  machine: machineNames(process.platform, process.env),
});
names.lookup(process.argv[2], { all: true }, (error, addresses) => {
  process.stdout.write(JSON.stringify(error === null ? addresses.map(({ address }) => address) : []));
});

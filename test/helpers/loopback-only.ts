// Keeps tests and their children on the loopback interface. A connection to another host is an uncaught error, since the code under test may
// handle a normal one.
import dgram from 'node:dgram';
import dns from 'node:dns';
import type { LookupAddress, LookupOptions } from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';

type AnyFunction = (this: unknown, ...args: unknown[]) => unknown;
type LookupCallback = (error: Error | null, address?: string | LookupAddress[], family?: number) => void;
type Lookup = (host: string, options: LookupOptions, callback: LookupCallback) => unknown;

const ADDRESS = /^(?:127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+|::ffff:7f[0-9a-f]{2}:[0-9a-f]+)$/i;
/** A server may be bound to these. A connection to one of them reaches this machine. */
const ANY = new Set(['0.0.0.0', '::', '']);
const NAME = /^(?:.+\.)?localhost\.?$/i;

function refuse(what: string): Error {
  const error = new Error(`A test tried to reach ${what}: tests stay on the loopback interface.`);
  process.nextTick(() => {
    throw error;
  });
  return error;
}

function isHere(host: string): boolean {
  return ADDRESS.test(host) || ANY.has(host) || NAME.test(host);
}

/** Wraps a method. */
function around(holder: object, name: string, wrap: (inner: AnyFunction) => AnyFunction): void {
  const inner: unknown = Reflect.get(holder, name);
  if (typeof inner === 'function') Reflect.set(holder, name, wrap(inner as AnyFunction));
}

/** Checks the addresses that a look-up of the test finds: any name may lead to this machine. */
function checkedLookup(lookup: Lookup): Lookup {
  return (host, options, callback) =>
    lookup(host, options, (error, address, family) => {
      const found = Array.isArray(address) ? address.map((each) => each.address) : [address ?? ''];
      const stray = error === null ? found.find((each) => !isHere(each)) : undefined;
      if (stray === undefined) callback(error, address, family);
      else callback(refuse(`${host} at ${stray}`));
    });
}

around(
  net.Socket.prototype,
  'connect',
  (inner) =>
    function connect(...args) {
      // `net.connect` passes its normalized arguments as one list. All other callers pass the documented arguments.
      const first: unknown = Array.isArray(args[0]) ? (args[0] as unknown[])[0] : args[0];
      if (typeof first === 'object' && first !== null) {
        const options = first as { host?: string; path?: string; lookup?: Lookup };
        const host = options.host ?? 'localhost';
        if (options.path === undefined || options.path === null) {
          if (net.isIP(host) !== 0 ? !isHere(host) : options.lookup === undefined && !isHere(host)) throw refuse(host);
          if (options.lookup !== undefined && !NAME.test(host)) options.lookup = checkedLookup(options.lookup);
        }
      } else if (typeof args[1] === 'string' && !isHere(args[1])) throw refuse(args[1]);
      return Reflect.apply(inner, this, args);
    },
);

for (const name of ['send', 'connect']) {
  around(
    dgram.Socket.prototype,
    name,
    (inner) =>
      function send(...args) {
        const address = args.slice(1).find((arg) => typeof arg === 'string');
        if (address !== undefined && !isHere(address)) throw refuse(`${address} over UDP`);
        return Reflect.apply(inner, this, args);
      },
  );
}

for (const holder of [dns, dns.promises]) {
  around(
    holder,
    'lookup',
    (inner) =>
      function lookup(...args) {
        const host = typeof args[0] === 'string' ? args[0] : '';
        // A server that listens looks up its address, too.
        if (net.isIP(host) === 0 && !isHere(host)) throw refuse(`the look-up of ${host}`);
        return Reflect.apply(inner, this, args);
      },
  );
}

for (const { prototype } of [dns.Resolver, dns.promises.Resolver]) {
  for (const name of ['resolve', 'resolve4', 'resolve6', 'resolveAny', 'resolveCname', 'resolveTxt', 'reverse']) {
    around(
      prototype,
      name,
      (inner) =>
        function resolve(this: unknown, ...args) {
          const server = (this as dns.Resolver).getServers().find((each) => !ADDRESS.test(each.replace(/^\[|\]?:\d+$|\]$/g, '')));
          if (server !== undefined) throw refuse(`the name server ${server} for ${String(args[0])}`);
          return Reflect.apply(inner, this, args);
        },
    );
  }
}

syncBuiltinESMExports();

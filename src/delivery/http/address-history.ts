/** What became of the addresses of each host: it decides in which order they are tried, and when a name is looked up anew. */
import { isIP } from 'node:net';
import type { LookupAddress } from 'node:dns';

/** How many addresses of a host are remembered as failed. More than a name has. */
const MAX_FAILED = 16;

interface Addresses {
  /** The one that answered a request last. */
  good: string | undefined;
  /** Those that failed since they answered last, in the order in which they failed. */
  readonly failed: Set<string>;
}

/** The addresses of the hosts of one pool: the endpoint, a proxy, and those to which redirects lead. */
export class AddressHistory {
  readonly #forgetName: (host: string) => void;
  readonly #hosts = new Map<string, Addresses>();

  /** @param forgetName called when an address of a host has failed: the name may have another one by now */
  constructor(forgetName: (host: string) => void = () => undefined) {
    this.#forgetName = forgetName;
  }

  /** An address has answered a request. That it takes connections is not enough: a balancer without servers does. */
  worked(host: string, address: string): void {
    const known = this.#of(host);
    if (known === undefined) return;
    known.good = address;
    known.failed.delete(address);
  }

  /** An address took no connection, failed in TLS, or gave no answer. */
  failed(host: string, address: string): void {
    const known = this.#of(host);
    if (known === undefined) return;
    if (known.good === address) known.good = undefined;
    known.failed.delete(address);
    known.failed.add(address);
    const oldest = known.failed.values().next().value;
    if (known.failed.size > MAX_FAILED && oldest !== undefined) known.failed.delete(oldest);
    this.#forgetName(host);
  }

  /** @returns the addresses in the order in which they are tried, and whether the first one has answered before */
  order(host: string, found: readonly LookupAddress[]): { addresses: LookupAddress[]; isKnown: boolean } {
    const { good, failed } = this.#of(host) ?? { good: undefined, failed: new Set() };
    const first = found.filter(({ address }) => address === good);
    const last = Array.from(failed).flatMap((each) => found.filter(({ address }) => address === each));
    const others = found.filter(({ address }) => address !== good && !failed.has(address));
    return { addresses: [...first, ...alternate(others), ...last], isKnown: first.length > 0 };
  }

  /** Undefined for a host that is an address. */
  #of(host: string): Addresses | undefined {
    if (isIP(host) !== 0) return undefined;
    let known = this.#hosts.get(host);
    if (known === undefined) this.#hosts.set(host, (known = { good: undefined, failed: new Set() }));
    return known;
  }
}

/** The addresses of both families in turn, the family of the first address first (RFC 8305, 4). */
function alternate(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const longest = Math.max(first.length, second.length);
  return Array.from({ length: longest }, (_, index) => [first.at(index), second.at(index)])
    .flat()
    .filter((address) => address !== undefined);
}

// Random numbers by seed: the same for a host whatever other hosts do, so that two runs differ only by what is changed.

/** A number from a few numbers, by the last step of MurmurHash3 for each. */
export function hashed(...numbers) {
  let hash = 0x9e3779b9;
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return hash >>> 0;
}

// The stores of a relay. The relay loads this file lazily: nothing else loads the file system code of the spool.

export { machineBoot } from './age.js';
export { SpoolError } from './files.js';
export { memoryStore } from './memory-store.js';
export { openSpool } from './spool.js';
export type { SpoolOptions } from './options.js';

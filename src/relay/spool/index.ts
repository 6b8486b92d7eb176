// The stores of a relay: the door of this folder.

export { machineBoot } from './age.js';
export { SpoolError } from './files.js';
export { memoryStore } from './memory-store.js';
export { openSpool } from './spool.js';
export type { SpoolOptions } from './options.js';

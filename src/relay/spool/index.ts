export { SpoolError } from './errors.js';
export type { SpoolErrorCode } from './errors.js';
export type { SpoolFile, SpoolFiles } from './files.js';
export { memoryStore } from './memory-store.js';
export { openSpool } from './open-spool.js';
export type { MemoryStoreOptions, SpoolOptions } from './options.js';

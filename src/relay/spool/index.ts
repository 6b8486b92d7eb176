export { SpoolError } from './files.js';
export type { SpoolErrorCode } from './files.js';
export type { SpoolFile, SpoolFiles } from './files.js';
export { memoryStore } from './memory-store.js';
export { openSpool } from './spool.js';
export type { MemoryStoreOptions, SpoolOptions } from './options.js';

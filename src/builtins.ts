/*
 * `import ... from 'node:util'` has Node load all that the module offers, some ten internal modules among it; this does not. It
 * counts, since a host pays for it at each start of a process. What is needed seldom is asked for in the same way where it is used.
 */

/** Tells what a value is without asking it. */
export const { types } = process.getBuiltinModule('node:util');

// The measured build: dist/ of this clone, or the one that the runner compares with it.

/** The folder of the build, as a URL with a slash at its end. */
const BUILD = process.env.BENCH_BUILD ?? new URL('../../dist/', import.meta.url).href;

/** @param file such as `index.js`, `relay/index.js` */
export const importBuild = (file) => import(new URL(file, BUILD).href);

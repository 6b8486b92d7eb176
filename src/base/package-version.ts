// The version of this package.

/** Written into the bundle by `scripts/bundle.mjs`: a program that bundles this package has no package.json of ours. */
declare const PACKAGE_VERSION: string | undefined;

/** The version of this package. */
export function packageVersion(): string {
  if (typeof PACKAGE_VERSION === 'string') return PACKAGE_VERSION;
  const { createRequire } = process.getBuiltinModule('node:module');
  const { version } = createRequire(import.meta.url)('cosmos-telemetry/package.json') as { version: string };
  return version;
}

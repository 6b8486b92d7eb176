import { createRequire } from 'node:module';
import type { Program } from './program.js';

/** What `--version` prints: the program's version where it is known, and this package's. */
export function versionLine({ product, command }: Program): string {
  const own = `cosmos-telemetry ${packageVersion()}`;
  return product.version === undefined ? own : `${command}: ${product.name} ${product.version}, ${own}`;
}

/** Asked of package.json when somebody asks, so that it stands in one place. */
function packageVersion(): string {
  try {
    const { version } = createRequire(import.meta.url)('cosmos-telemetry/package.json') as { version: string };
    return version;
  } catch {
    // A bundler has put it where no package.json is.
    return '(version unknown)';
  }
}

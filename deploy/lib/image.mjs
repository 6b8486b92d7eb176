// The package beside its optional client of NATS, as in the image: the folder of the project does not have that client.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');
/** Where packages are: the project's own, and those of `npm ci --prefix jetstream`. */
const PLACES = [join(root, 'node_modules'), join(root, 'jetstream', 'node_modules')];

let made;

/** Makes it once for a file of tests, which calls `removeImage()` at its end. @returns Its command. */
export function image() {
  made ??= make();
  return made;
}

/** Removes what `image()` made, if it did. */
export function removeImage() {
  if (made !== undefined) rmSync(made.folder, { recursive: true, force: true });
}

function make() {
  const folder = mkdtempSync(join(tmpdir(), 'deploy-image-'));
  // The users of the manifests run it.
  chmodSync(folder, 0o755);
  const modules = join(folder, 'node_modules');
  const own = join(modules, 'cosmos-telemetry');
  for (const name of ['package.json', 'dist']) cpSync(join(root, name), join(own, name), { recursive: true });
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const name of Object.keys({ ...dependencies, ...peerDependencies })) {
    const place = PLACES.find((each) => existsSync(join(each, name)));
    if (place === undefined) continue;
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(place, name), join(modules, name));
  }
  return { folder, bin: join(own, 'dist', 'cli', 'bin.js') };
}

// Empties the named output folders before a compile, so that no file of a deleted source is tested or packed.
import { rmSync } from 'node:fs';

for (const folder of process.argv.slice(2)) rmSync(folder, { recursive: true, force: true });

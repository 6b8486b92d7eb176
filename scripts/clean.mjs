// Deletes output folders before a compile, so that no output of a deleted source file is tested or packed.
import { rmSync } from 'node:fs';

for (const folder of process.argv.slice(2)) rmSync(folder, { recursive: true, force: true });

// Leaves out the flushes of files to the disk. One that takes half a second makes a relay answer 200 in place of 204, as it should, so tests
// would depend on what else the disk has to do. No test cuts the power: a process that is killed loses nothing that it wrote. A slow disk is
// tested by `FaultyFiles`.
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const { open } = fs.promises;

/** The class of file handles is no export: the first open file tells it. */
function leaveOutFlushes(file: FileHandle): FileHandle {
  const { prototype } = file.constructor as { prototype: FileHandle };
  prototype.datasync = prototype.sync = () => Promise.resolve();
  fs.promises.open = open;
  syncBuiltinESMExports();
  return file;
}

fs.promises.open = async (...args) => leaveOutFlushes(await open(...args));
syncBuiltinESMExports();

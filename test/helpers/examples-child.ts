// Runs programs one after the other, each with a home of its own, and prints a line before the output of each.
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The time that an exit may take is one for the whole process: without this, each program that only awaits a delivery would use it up.
const hold = setInterval(() => undefined, 60_000);
const [, , folder = '', ...files] = process.argv;
for (const [index, file] of files.entries()) {
  const home = path.join(folder, String(index));
  mkdirSync(home);
  process.chdir(home);
  Object.assign(process.env, { HOME: home, USERPROFILE: home, XDG_CONFIG_HOME: home, APPDATA: home });
  console.log(`=== ${index}`);
  await import(pathToFileURL(file).href);
}
clearInterval(hold);

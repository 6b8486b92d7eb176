// The other side of child.mjs: measures once, says what it found, and ends.
import { writeSync } from 'node:fs';

const [name, params] = process.argv.slice(2);
const { measure, endsByItself = false } = await import(`../scenarios/${name}.mjs`);
const values = await measure(JSON.parse(params));
// Written at once, since some of those who are measured hold a process for long, and one of them forever.
if (values !== undefined) writeSync(1, `${JSON.stringify(values)}\n`);
if (!endsByItself) process.exit();

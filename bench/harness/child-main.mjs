// The child process of child.mjs: measures once, prints the result, and ends.
import { writeSync } from 'node:fs';

const [name, params] = process.argv.slice(2);
const { measure, endsByItself = false } = await import(`../scenarios/${name}.mjs`);
const values = await measure(JSON.parse(params));
// Written synchronously and at once: some clients keep the process alive for long, and one of them forever.
if (values !== undefined) writeSync(1, `${JSON.stringify(values)}\n`);
if (!endsByItself) process.exit();

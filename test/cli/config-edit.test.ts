import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { writeSwitch } from '../../src/cli/switch.js';
import { CliFailure } from '../../src/cli/command.js';

test.serial('whatever goes wrong, the file is as it was and nothing lies beside it', (t) => {
  const root = mkdtempSync(path.join(tmpdir(), 'config-edit-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const folder = path.join(root, 'a', 'b');
  const file = path.join(folder, 'telemetry.json');
  t.true(writeSwitch(file, false), 'folders are made');
  t.false(writeSwitch(file, false));
  t.true(writeSwitch(file, true));
  t.is(readFileSync(file, 'utf8'), '{\n  "enabled": true\n}\n');

  const refusals: [make: () => void, message: RegExp][] = [
    [() => writeFileSync(file, '{"enabled": true, "enabled": false}'), /telemetry\.json:1 cannot be changed \("enabled" stands twice\)/],
    [() => writeFileSync(file, 'x'.repeat(70_000)), /cannot be changed \(more than 64 KiB\)/],
    [() => writeFileSync(file, Buffer.from([0xff])), /cannot be read \(EILSEQ\)/],
  ];
  if (process.platform !== 'win32') {
    refusals.push(
      [() => mkdirSync(file), /is a folder where the config file belongs/],
      [() => symlinkSync('nowhere', file), /is a link that leads to no file/],
      [() => symlinkSync('telemetry.json', file), /is a link that leads to no file/],
    );
  }
  for (const [make, message] of refusals) {
    rmSync(file, { recursive: true, force: true });
    make();
    const before = lstatSync(file);
    const error = t.throws(() => writeSwitch(file, true), { instanceOf: CliFailure, message });
    t.is(error?.exitCode, 1);
    t.true(error?.message.endsWith('; nothing was changed'));
    t.is(lstatSync(file).ino, before.ino);
    t.deepEqual(readdirSync(folder), ['telemetry.json']);
  }
  writeFileSync(path.join(root, 'plain'), '');
  if (process.platform !== 'win32') {
    t.throws(() => writeSwitch(path.join(root, 'plain', 'x', 'telemetry.json'), true), {
      message: /plain\/x lies in a file where a folder belongs/,
    });
  }
  if (process.platform === 'linux') {
    t.throws(() => writeSwitch('/proc/nothing/acme/telemetry.json', true), {
      message: /^\/proc\/nothing\/acme cannot be written to \([A-Z]+\); nothing was changed$/,
    });
  }
});

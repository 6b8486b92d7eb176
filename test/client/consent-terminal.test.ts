import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { proves } from '../helpers/promises.js';
import { makeHome } from '../helpers/run-cli.js';

const CHILD = fileURLToPath(new URL('../helpers/consent-child.js', import.meta.url));

/** Runs a program on a terminal of its own, and types each text when the next question is there. Prints what the program wrote, and its end. */
const ON_A_TERMINAL = `
import json, os, pty, sys
typed, command = json.loads(sys.argv[1]), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execv(command[0], command)
output = b''
for text in typed:
    seen = output.count(b'[y/N] ')
    while output.count(b'[y/N] ') == seen:
        output += os.read(terminal, 65536)
    os.write(terminal, text.encode())
while True:
    try:
        more = os.read(terminal, 65536)
    except OSError:
        break
    if not more:
        break
    output += more
_, status = os.waitpid(child, 0)
print(json.dumps({'output': output.decode(), 'code': os.waitstatus_to_exitcode(status)}))
`;

const hasTerminal = process.platform !== 'win32' && spawnSync('python3', ['-c', 'import pty']).status === 0;

/** @returns The report of the program; its exit code, negative for a signal; whether the config file exists. */
async function onTerminal(t: ExecutionContext, mode: string, typed: string[]) {
  const home = makeHome(t);
  const { stdout } = await promisify(execFile)('python3', ['-c', ON_A_TERMINAL, JSON.stringify(typed), process.execPath, CHILD, mode], {
    env: { PATH: process.env['PATH'], TERM: 'xterm', NODE_V8_COVERAGE: '', ...home.env },
    timeout: 60_000,
  });
  const { output, code } = JSON.parse(stdout) as { output: string; code: number };
  const [, report = 'null'] = /report (\{.*\})/.exec(output) ?? [];
  return { report: JSON.parse(report) as object | null, code, isSaved: existsSync(home.file('acme')) };
}

const SIGINT = 2;
const UNASKED = { state: 'unasked', answer: null };
const GIVEN = { state: 'given', answer: true };

const cases: [what: string, mode: string, typed: string[], report: object | null, code: number][] = [
  ['yes', 'plain', ['y\n'], { ...GIVEN, isRaw: false }, 0],
  ['a first line that is no answer', 'plain', ['maybe\n', 'yes\n'], { ...GIVEN, isRaw: false }, 0],
  ['no answer twice', 'plain', ['maybe\n', 'maybe\n'], { ...UNASKED, isRaw: false }, 0],
  ['Ctrl-D', 'plain', ['\u0004'], { ...UNASKED, isRaw: false }, 0],
  ['Ctrl-C, which ends the program', 'plain', ['\u0003'], null, -SIGINT],
  ['Ctrl-C in a program that closes then', 'closes', ['\u0003'], { ...UNASKED, isRaw: false }, 0],
  ['yes in a terminal that was in raw mode and is so again', 'raw', ['y\r'], { ...GIVEN, isRaw: true }, 0],
  ['after a question by readline', 'readline', ['Pat\n', 'y\n'], { ...GIVEN, isRaw: false }, 0],
  ['Ctrl-C in a terminal that was in raw mode', 'raw', ['\u0003'], null, -SIGINT],
];

if (hasTerminal && process.platform === 'linux') {
  for (const [what, mode, typed, report, code] of cases) {
    test.serial(proves('consent-asked', `on a real terminal: ${what}`), async (t) => {
      t.deepEqual(await onTerminal(t, mode, typed), {
        report,
        code,
        isSaved: report !== null && 'answer' in report && report.answer === true,
      });
    });
  }
} else {
  test('a real terminal needs python3 on Linux', (t) => {
    t.pass();
  });
}

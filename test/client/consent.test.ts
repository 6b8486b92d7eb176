import { EventEmitter } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createTelemetry } from '../../src/index.js';
import type { ConsentQuestion, Environment, TelemetryOptions } from '../../src/index.js';
import { recordingTransport } from '../../src/testing/index.js';
import { proves } from '../helpers/promises.js';
import { makeHome, runCli } from '../helpers/run-cli.js';
import { telemetryRig } from '../helpers/telemetry-rig.js';
import { settle } from '../helpers/virtual-clock.js';

const PRODUCT = { name: 'acme', version: '1.0.0' } as const;

function setUp(t: ExecutionContext, options: Partial<TelemetryOptions> = {}, env: Environment = {}) {
  const home = makeHome(t);
  const transport = recordingTransport();
  const start = () => {
    const telemetry = createTelemetry({
      product: PRODUCT,
      dbt: true,
      transport,
      env: { ...home.env, ...env },
      consent: 'opt-in',
      ...(options as object),
    });
    t.teardown(() => telemetry.close());
    return telemetry;
  };
  const write = (content: string): void => {
    mkdirSync(path.dirname(home.file('acme')), { recursive: true });
    writeFileSync(home.file('acme'), content);
  };
  return { start, write, file: home.file('acme'), saved: () => readFileSync(home.file('acme'), 'utf8'), folder: home.folder };
}

function refuses(): never {
  throw new Error('hunter2');
}

/** A terminal: what is typed, and what is written. */
function terminal({ input: isInput = true, output: isOutput = true } = {}) {
  const input = Object.assign(new PassThrough(), { isTTY: isInput });
  let text = '';
  const output = {
    isTTY: isOutput,
    write: (more: string) => {
      text += more;
      if (text.endsWith('[y/N] ')) asked();
    },
  };
  let asked: () => void;
  const whenAsked = new Promise<void>((resolve) => (asked = resolve));
  return { input, output, whenAsked, text: () => text };
}

if (process.platform !== 'darwin') {
  test(proves('consent-asked', 'the state of a consent, and the rule behind it'), (t) => {
    const cases: [expected: string, rule: string, env: Environment, options: Partial<TelemetryOptions>, file?: string][] = [
      ['unasked', 'consent', {}, {}],
      ['unasked', 'default', {}, { consent: 'opt-out' }],
      ['given', 'ACME_TELEMETRY', { ACME_TELEMETRY: 'on' }, {}],
      ['given', 'config file', {}, {}, '{"enabled": true}'],
      ['given', 'config file', {}, { consent: 'opt-out' }, '{"enabled": true}'],
      ['refused', 'config file', {}, {}, '{"enabled": false}'],
      ['refused', 'config file', {}, {}, 'not JSON'],
      ['refused', 'config file', {}, { consent: 'opt-out' }, '{"enab'],
      ['refused', 'ACME_TELEMETRY', { ACME_TELEMETRY: 'off' }, {}, '{"enabled": true}'],
      ['refused', 'DO_NOT_TRACK', { DO_NOT_TRACK: '1' }, {}],
      ['refused', 'enabled', {}, { enabled: false }],
    ];
    for (const [expected, rule, env, options, content] of cases) {
      const { start, write } = setUp(t, options, env);
      if (content !== undefined) write(content);
      const { consent } = start();
      t.deepEqual([consent.state, consent.rule.name], [expected, rule], `${expected} by ${rule}`);
    }
  });

  test(proves('consent-asked', 'a recorded yes is the file that the command writes, and holds from the next start'), async (t) => {
    const { start, write, file, saved } = setUp(t);
    write('{"theme": "dark"}');
    const first = start();
    t.is(first.consent.state, 'unasked');
    t.like(await first.consent.record(true), { state: 'given', answer: true, file, problem: undefined, rule: { name: 'config file' } });
    t.is(saved(), '{\n  "theme": "dark",\n  "enabled": true\n}\n');
    t.is(first.consent.state, 'given');
    t.false(first.enabled, 'an opt-out is final while a program runs');
    t.true(start().enabled);
    const { stdout } = await runCli({ product: PRODUCT, consent: 'opt-in' }, ['status', '--json'], {
      env: { HOME: path.dirname(path.dirname(path.dirname(file))) },
    });
    t.true((JSON.parse(stdout) as { enabled: boolean }).enabled);
  });

  test(proves('consent-asked', 'a recorded no holds at once, also where it cannot be written'), async (t) => {
    for (const env of [{}, { HOME: '', XDG_CONFIG_HOME: '' }] as Environment[]) {
      const { start, saved } = setUp(t, { consent: 'opt-out' }, env);
      const telemetry = start();
      telemetry.publish('dbt_docs_access', {
        storage_type: 's3',
        docs_dir_configured: true,
        uses_custom_conn: false,
        has_custom_name: false,
      });
      const recording = telemetry.consent.record(false);
      t.false(telemetry.enabled);
      t.like(telemetry.stats(), { published: 1, dropped: 1, reasons: { opted_out: 1 } });
      const { problem, file, state, answer } = await recording;
      t.false(answer);
      if (env['HOME'] === undefined) {
        t.deepEqual([problem, state], [undefined, 'refused']);
        t.is(saved(), '{\n  "enabled": false\n}\n');
      } else {
        t.is(problem, 'there is no place for a config file: neither XDG_CONFIG_HOME nor HOME names a folder');
        t.is(file, undefined);
      }
    }
  });

  test('a yes beside another no, and a file that cannot be changed: record() says so and never rejects', async (t) => {
    const overruled = setUp(t, {}, { DO_NOT_TRACK: '1' });
    t.like(await overruled.start().consent.record(true), { state: 'refused', rule: { name: 'DO_NOT_TRACK' }, problem: undefined });
    t.is(overruled.saved(), '{\n  "enabled": true\n}\n');
    const broken = setUp(t);
    broken.write('not JSON');
    const { state, problem } = await broken.start().consent.record(true);
    t.is(state, 'refused');
    t.is(problem, `${broken.file} cannot be changed (not JSON): fix or remove it; nothing was changed`);
    t.is(broken.saved(), 'not JSON');
  });

  const answers: [typed: string, answer: boolean | undefined, content: string | undefined][] = [
    ['y\n', true, '{\n  "enabled": true\n}\n'],
    [' YES \r', true, '{\n  "enabled": true\n}\n'],
    ['n\n', false, '{\n  "enabled": false\n}\n'],
    ['\n', false, '{\n  "enabled": false\n}\n'],
    ['No\n', false, '{\n  "enabled": false\n}\n'],
    ['y'.repeat(2000), undefined, undefined],
    ['\u0003', undefined, undefined],
    ['y\u0004\n', undefined, undefined],
    ['\u001A\r\n', undefined, undefined],
  ];
  for (const [typed, answer, content] of answers) {
    test(proves('consent-asked', `asked on a terminal, ${JSON.stringify(typed.slice(0, 12))} is ${answer ?? 'no answer'}`), async (t) => {
      const endpoint = 'https://telemetry.acme.example/usage';
      const { start, saved, file } = setUp(t, { transport: undefined, endpoint, command: 'acme telemetry' });
      const { consent } = start();
      const { input, output, whenAsked, text } = terminal();
      const asking = consent.ask({ input, output });
      t.is(consent.ask({ input, output }), asking, 'a second question waits for the first');
      await whenAsked;
      input.write(typed);
      const state = answer === undefined ? 'unasked' : answer ? 'given' : 'refused';
      t.like(await asking, { state, answer, problem: undefined, file });
      const question = 'May acme report how it is used to telemetry.acme.example? `acme telemetry events` lists what is sent. [y/N] ';
      t.is(text(), answer === undefined ? `${question}\n` : question);
      if (content === undefined) t.throws(saved, { code: 'ENOENT' });
      else t.is(saved(), content);
      t.is(input.listenerCount('data') + input.listenerCount('close'), 0);
      t.true(input.isPaused());
      const again = terminal();
      if (answer !== undefined)
        t.like(await consent.ask({ input: again.input, output: again.output }), { state, answer: undefined }, 'nobody is asked twice');
      t.is(again.text(), '');
    });
  }

  test(proves('consent-asked', 'an answer that is neither yes nor no is asked for once more'), async (t) => {
    for (const [second, answer, state] of [
      ['y', true, 'given'],
      ['n', false, 'refused'],
      ['maybe', undefined, 'unasked'],
    ] as const) {
      const { start, saved } = setUp(t);
      const { input, output, whenAsked, text } = terminal();
      const asking = start().consent.ask({ input, output });
      await whenAsked;
      input.write('yes please\n');
      await settle();
      input.write(`${second}\n`);
      t.like(await asking, { state, answer, problem: undefined });
      t.is(text(), 'May acme report how it is used? Its privacy notice lists what is sent. [y/N] Please answer y (yes) or n (no). [y/N] ');
      if (answer === undefined) t.throws(saved, { code: 'ENOENT' });
      else t.is(saved(), `{\n  "enabled": ${answer}\n}\n`);
    }
  });

  test(proves('consent-asked', 'who is asked and gives no answer sends nothing while the program runs, and is asked again'), async (t) => {
    const { start, saved } = setUp(t, { consent: 'opt-out' });
    const telemetry = start();
    t.true(telemetry.enabled);
    const { input, output, whenAsked } = terminal();
    const asking = telemetry.consent.ask({ input, output });
    await whenAsked;
    input.end('y');
    t.like(await asking, { state: 'unasked', answer: undefined });
    t.false(telemetry.enabled);
    t.throws(saved, { code: 'ENOENT' });
    const again = terminal();
    const asked = start().consent.ask({ input: again.input, output: again.output });
    await again.whenAsked;
    again.input.write('y\n');
    t.like(await asked, { state: 'given', answer: true });
  });

  test('close() ends a question that is open: nothing is recorded, and the events that wait are delivered', async (t) => {
    const { start, saved } = setUp(t, { consent: 'opt-out' });
    const telemetry = start();
    const { input, output, whenAsked } = terminal();
    const asking = telemetry.consent.ask({ input, output });
    await whenAsked;
    telemetry.publish('dbt_docs_access', {
      storage_type: 's3',
      docs_dir_configured: true,
      uses_custom_conn: false,
      has_custom_name: false,
    });
    t.like(await telemetry.close(), { published: 1, sent: 1 });
    t.like(await asking, { state: 'unasked', answer: undefined, problem: undefined });
    t.true(input.isPaused());
    t.throws(saved, { code: 'ENOENT' });
    const early = start();
    const silent = terminal();
    const asked = early.consent.ask({ input: silent.input, output: silent.output });
    await early.close();
    await asked;
    t.is(silent.text(), '', 'closed before the question was written');
  });

  test(proves('consent-asked', 'nobody is asked without a terminal, on a build server, or after an answer'), async (t) => {
    const cases: [what: string, env: Environment, terminal: { input?: boolean; output?: boolean }][] = [
      ['no terminal to type', {}, { input: false }],
      ['no terminal to read', {}, { output: false }],
      ['CI', { CI: 'true' }, {}],
      ['Jenkins', { BUILD_NUMBER: '7' }, {}],
      ['a person said no', { DO_NOT_TRACK: '1' }, {}],
    ];
    for (const [what, env, of] of cases) {
      const { start, saved } = setUp(t, {}, env);
      const { input, output, text } = terminal(of);
      const { answer, state } = await start().consent.ask({ input, output });
      t.deepEqual([answer, state], [undefined, what === 'a person said no' ? 'refused' : 'unasked'], what);
      t.is(text(), '', what);
      t.throws(saved, { code: 'ENOENT' });
    }
    const { start } = setUp(t, {}, { CI: 'false' });
    const { input, output, whenAsked, text } = terminal();
    const asking = start().consent.ask({ input, output, question: 'May we?' });
    await whenAsked;
    input.end();
    await asking;
    t.is(text(), 'May we? [y/N] \n', 'in the words of the program, and CI=false is no build server');
  });

  test('a terminal that throws, or an environment that cannot be read, is no answer', async (t) => {
    const { start } = setUp(t);
    const { input, output } = terminal();
    t.like(await start().consent.ask({ input, output: { isTTY: true, write: refuses } }), { state: 'unasked', answer: undefined });
    const gone = Object.assign(new EventEmitter(), { isTTY: true, isRaw: true, pause: refuses, off: refuses, setRawMode: () => true });
    const telemetryOfGone = start();
    const shown = terminal();
    const asking = telemetryOfGone.consent.ask({ input: gone, output: shown.output });
    await shown.whenAsked;
    await t.notThrowsAsync(telemetryOfGone.close());
    t.like(await asking, { state: 'unasked', answer: undefined });
    const env = new Proxy({}, { get: refuses });
    const { telemetry } = telemetryRig({ env, consent: 'opt-in' });
    t.is(telemetry.consent.state, 'refused');
    t.like(await telemetry.consent.ask({ input, output }), { state: 'refused', answer: undefined, file: undefined });
    t.is((await telemetry.consent.record(true)).problem, 'the config file cannot be written now');
  });
}

test('wrong arguments throw at once, with their name and value', (t) => {
  const { consent } = telemetryRig({}).telemetry;
  const { input, output } = terminal();
  const wrong: [call: () => unknown, message: string][] = [
    [() => consent.record('yes' as never), 'Expected `yes` to be true or false, got "yes".'],
    [() => consent.record(undefined as never), 'Expected `yes` to be true or false, got undefined.'],
    [() => consent.ask(undefined as never), 'Expected `options` to be an object, got undefined.'],
    [() => consent.ask({} as never), 'Expected `input` to be an object with `on()` and `off()` and `pause()`, got undefined.'],
    [() => consent.ask({ input } as never), 'Expected `output` to be an object with `write()`, got undefined.'],
    [() => consent.ask({ input: 7, output } as never), 'Expected `input` to be an object with `on()` and `off()` and `pause()`, got 7.'],
    [() => consent.ask({ input, output, question: '' }), 'Expected `question` to be a text, got "".'],
    [
      () => consent.ask({ input, output, quiet: true } as object as ConsentQuestion),
      'Expected `options` to have known keys only, got `quiet` with true.',
    ],
  ];
  for (const [call, message] of wrong) t.throws(call, { instanceOf: TypeError, message });
});

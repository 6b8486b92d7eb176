import test from 'ava';
import { configFilePlaces, OPT_OUT_FILE, optOutTable } from '../src/notice/opt-outs.js';
import { resolveSettings, shouldEmit } from '../src/opt-out/settings.js';

const enabled = (product: string, env: NodeJS.ProcessEnv) => shouldEmit(resolveSettings({ product, env }));

test('every switch is there, those of Airflow for cosmos alone', (t) => {
  t.deepEqual(
    optOutTable('acme').map(({ kind, name }) => [kind, name]),
    [
      ['env', 'DO_NOT_TRACK'],
      ['env', 'SCARF_NO_ANALYTICS'],
      ['env', 'ACME_TELEMETRY'],
      ['file', 'telemetry.json of your own'],
      ['file', 'telemetry.json of the machine'],
      ['option', 'enabled: false'],
      ['option', "consent: 'opt-in'"],
    ],
  );
  const own = new Set(optOutTable('acme').map(({ name }) => name));
  t.deepEqual(
    optOutTable('cosmos')
      .map(({ name }) => name)
      .filter((name) => !own.has(name)),
    ['COSMOS_TELEMETRY', 'AIRFLOW__COSMOS__ENABLE_TELEMETRY', 'enable_telemetry under [cosmos] in airflow.cfg'],
  );
});

for (const product of ['cosmos', 'acme']) {
  test(`${product}: a variable opts out by the example, by a word nobody knows, and not by the words that are named`, (t) => {
    const variables = optOutTable(product).filter(({ kind }) => kind === 'env');
    t.is(variables.length, product === 'cosmos' ? 4 : 3);
    for (const { name, example = '', optsOutWhen } of variables) {
      const [variable = '', value = ''] = example.split('=');
      t.is(variable, name);
      t.false(enabled(product, { [variable]: value }), example);
      t.false(enabled(product, { [name]: 'perhaps' }), name);
      const words = [...optsOutWhen.matchAll(/`(\w+)`/g)].map(([, word = '']) => word);
      t.true(words.length >= 3);
      for (const word of words) t.true(enabled(product, { [name]: word.toUpperCase() }), `${name}=${word}`);
      t.is(enabled(product, { [name]: '' }), optsOutWhen.includes('nothing'), `${name} set to nothing`);
    }
  });
}

test('the file that opts out is JSON, and stands where each system keeps such files', (t) => {
  t.deepEqual(JSON.parse(OPT_OUT_FILE), { enabled: false });
  t.deepEqual(configFilePlaces('acme'), [
    { system: 'Linux and others', own: '~/.config/acme/telemetry.json', machineWide: '/etc/xdg/acme/telemetry.json' },
    {
      system: 'macOS',
      own: '~/Library/Application Support/acme/telemetry.json',
      machineWide: '/Library/Application Support/acme/telemetry.json',
    },
    { system: 'Windows', own: String.raw`%APPDATA%\acme\telemetry.json`, machineWide: String.raw`%PROGRAMDATA%\acme\telemetry.json` },
  ]);
});

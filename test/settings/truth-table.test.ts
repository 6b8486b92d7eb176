import { readFileSync } from 'node:fs';
import test from 'ava';

import { explainSettings, resolveSettingsWith, shouldEmit } from '../../src/opt-out/settings.js';

type Say = 'yes' | 'no' | 'nothing';

/** What stands in one place, and what that says. */
type Case<T> = readonly [given: T, says: Say];

const ENVIRONMENTS: readonly Case<(name: string) => Record<string, string>>[] = [
  [() => ({}), 'nothing'],
  [() => ({ DO_NOT_TRACK: '0', SCARF_NO_ANALYTICS: '' }), 'nothing'],
  [(name) => ({ [`${name}_TELEMETRY`]: '1' }), 'yes'],
  [(name) => ({ [`${name}_TELEMETRY`]: 'on', DO_NOT_TRACK: 'false' }), 'yes'],
  [(name) => ({ [`${name}_TELEMETRY`]: '0' }), 'no'],
  [(name) => ({ [`${name}_TELEMETRY`]: 'sure' }), 'no'],
  [() => ({ DO_NOT_TRACK: '1' }), 'no'],
  [() => ({ SCARF_NO_ANALYTICS: 'yes' }), 'no'],
  [(name) => ({ [`${name}_TELEMETRY`]: '1', DO_NOT_TRACK: '1' }), 'no'],
];
const POLICIES: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['{}', 'nothing'],
  ['{"enabled": true}', 'nothing'],
  ['{"enabled": false}', 'no'],
  ['{"enabled": "true"}', 'no'],
  ['', 'no'],
];
const CONFIGS: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['{"later": 1}', 'nothing'],
  ['{"enabled": true}', 'yes'],
  ['{"enabled": false}', 'no'],
  ['true', 'no'],
];
const CFGS: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['[core]\n', 'nothing'],
  ['[cosmos]\nenable_telemetry = True\n', 'yes'],
  ['[cosmos]\nenable_telemetry = False\n', 'no'],
  ['[cosmos]\nenable_telemetry = on\n', 'no'],
];
/** Airflow's variable, for `cosmos`: it goes with the environment, and with it airflow.cfg is not read. */
const AIRFLOW: readonly Case<string | undefined>[] = [
  [undefined, 'nothing'],
  ['true', 'yes'],
  ['false', 'no'],
  ['maybe', 'no'],
];

const VARIABLES = ['DO_NOT_TRACK', 'SCARF_NO_ANALYTICS', 'ACME_TELEMETRY', 'COSMOS_TELEMETRY', 'AIRFLOW__COSMOS__ENABLE_TELEMETRY'];
const NAMES: Record<string, readonly string[]> = {
  enabled: ['enabled'],
  variable: VARIABLES,
  'policy file': ['policy file'],
  'config file': ['config file'],
  'airflow.cfg': ['[cosmos] enable_telemetry'],
  consent: ['consent'],
  default: ['default'],
};

/** The table of the README, which is written by hand. */
const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const TABLE = (readme.split('\n## What decides\n')[1] ?? '')
  .split('\n## ')[0]
  ?.split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => line.replaceAll(/^\| | \|$|[`']/g, '').split(' | '));

function rowFor(says: readonly string[]): { isOn: boolean; names: readonly string[] } | undefined {
  const row = TABLE?.find((cells) => says.every((say, column) => cells[column] === 'any' || cells[column] === say));
  const [telemetry, decidedBy = ''] = row?.slice(6) ?? [];
  return row && { isOn: telemetry === 'on', names: NAMES[decidedBy] ?? [] };
}

function machine(files: Record<string, string | undefined>, opened: string[]) {
  const readFile = (path: string): string => {
    opened.push(path);
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  };
  return { readFile, platform: 'linux' } as const;
}

test("the README's table holds for every combination, and names the rule that decides", (t) => {
  t.is(TABLE?.length, 10);
  let asked = 0;
  const used = new Set<string>();
  for (const product of ['acme', 'cosmos']) {
    const isCosmos = product === 'cosmos';
    for (const [environment, environmentSays] of ENVIRONMENTS) {
      for (const [airflow, airflowSays] of isCosmos ? AIRFLOW : AIRFLOW.slice(0, 3)) {
        for (const [policy, policySays] of POLICIES) {
          for (const [config, configSays] of CONFIGS) {
            for (const [cfg, cfgSays] of isCosmos ? CFGS : CFGS.slice(2, 4)) {
              const env: NodeJS.ProcessEnv = { HOME: '/home/pat', ...environment(product.toUpperCase()) };
              if (airflow !== undefined) env['AIRFLOW__COSMOS__ENABLE_TELEMETRY'] = airflow;
              const variables = isCosmos ? [environmentSays, airflowSays] : [environmentSays];
              const variableSays = variables.includes('no') ? 'no' : variables.includes('yes') ? 'yes' : 'nothing';
              const files = {
                [`/etc/xdg/${product}/telemetry.json`]: policy,
                [`/home/pat/.config/${product}/telemetry.json`]: config,
                '/home/pat/airflow/airflow.cfg': cfg,
              };
              for (const enabled of ['nothing', 'false']) {
                for (const consent of ['opt-out', 'opt-in'] as const) {
                  const opened: string[] = [];
                  const options = { product, env, consent, ...(enabled === 'false' && { enabled: false as const }) };
                  const settings = resolveSettingsWith(options, machine(files, opened));
                  const what = JSON.stringify({ ...options, policy, config, cfg });
                  const row = rowFor([
                    enabled,
                    variableSays,
                    policySays,
                    configSays,
                    isCosmos && airflow === undefined ? cfgSays : 'nothing',
                    consent,
                  ]);
                  const [deciding] = explainSettings(settings).rules;
                  if (row?.isOn !== shouldEmit(settings) || !row.names.includes(deciding?.name ?? '')) t.fail(`${what}: ${deciding?.name}`);
                  if ((variableSays === 'no' || enabled === 'false') && opened.length > 0) t.fail(`${what} opened ${opened.join(', ')}`);
                  if (!isCosmos && opened.some((path) => path.endsWith('.cfg'))) t.fail(`${what} opened airflow.cfg`);
                  used.add(deciding?.name ?? '');
                  asked += 1;
                }
              }
            }
          }
        }
      }
    }
  }
  t.is(asked, 9 * 6 * 5 * 2 * 2 * (3 * 2 + 4 * 5));
  for (const name of [...VARIABLES, 'enabled', 'policy file', 'config file', '[cosmos] enable_telemetry', 'consent', 'default']) {
    t.true(used.has(name), name);
  }
});

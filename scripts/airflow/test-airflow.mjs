// Tests Cosmos in a real Airflow with the relay between it and an endpoint on this machine. Cosmos and Airflow are unmodified, except for
// the plug-in of `examples/airflow`. Run `npm run build` first, then `npm run test:airflow`. Needs Python 3.10 or newer with venv and pip;
// installs `requirements-airflow-*.txt` into folders outside the repository. Arguments: `--write-docs` writes the figures into
// docs/airflow.md; `--relay FILE` runs another program than `dist/cli/bin.js`; `--only 2` or `--only 3` runs only that Airflow.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { escapes, provokeEscape, startAirflow } from './lib/airflow.mjs';
import { Checks } from './lib/checks.mjs';
import { airflowHome } from './lib/environment.mjs';
import { ALL_DAGS } from './lib/expected.mjs';
import { measuredSection, writePage } from './lib/page.mjs';
import { endAll, run } from './lib/processes.mjs';
import { pythonEnvironment } from './lib/python-environment.mjs';
import { setStage } from './lib/stage.mjs';
import { airflow2 } from './scenarios/airflow-2.mjs';
import { optedOut, quietly, withoutNoProxy, withAndWithoutRelay } from './scenarios/hook-times.mjs';
import { ownListeners } from './scenarios/own-listeners.mjs';
import { endpointAway, goodDay, relayKilled } from './scenarios/relayed.mjs';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const { values: options } = parseArgs({
  options: { 'write-docs': { type: 'boolean' }, relay: { type: 'string' }, only: { type: 'string' } },
});
const checks = new Checks();
const folder = mkdtempSync(path.join(tmpdir(), 'airflow-'));
process.once('exit', () => {
  endAll();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const measured = options.only === '2' ? undefined : await inAirflow(3, airflow3);
if (options.only !== '3') await inAirflow(2, airflow2);
console.log(checks.summary);
if (options['write-docs'] && measured) writePage(measuredSection(measured));
process.exitCode = checks.failed.length === 0 ? 0 : 1;

async function airflow3(stage) {
  const step = stopwatch();
  stage.airflow = await startAirflow(stage.home, ALL_DAGS.length);
  step('Airflow runs');
  const { runs, sent } = await goodDay(stage);
  const listeners = await ownListeners(stage, { runs, sent });
  step('a good day');
  await endpointAway(stage);
  step('the endpoint was down');
  await relayKilled(stage);
  step('the relay was killed');
  const inRuns = await withAndWithoutRelay(stage);
  step('with and without a relay');
  await stage.airflow.stop();
  const alone = await quietly(stage);
  step('the client alone');
  return { ...listeners, inAirflow: inRuns, alone };
}

/** Runs a scenario in one Airflow with its own home, and the checks that hold for every Airflow. */
async function inAirflow(major, scenario) {
  const programs = await pythonEnvironment(here(`requirements-airflow-${major}.txt`));
  const home = path.join(folder, `home-${major}`);
  mkdirSync(home);
  const stage = await setStage({ folder: home, checks, relayProgram: options.relay && path.resolve(options.relay) });
  stage.home = airflowHome(path.join(home, 'airflow'), { programs, relayUrl: stage.front.url, proxyUrl: stage.proxy.url, major });
  try {
    await run(stage.home.python, [here('plugin_cases.py')], { env: stage.home.env, cwd: home });
    checks.add(`Airflow ${major}: the plug-in's own cases`, true);
    const found = await scenario(stage);
    checks.add(
      `Airflow ${major}: HTTP_PROXY is set, but the proxy gets no request`,
      stage.proxy.asked.length === 0,
      stage.proxy.asked.join(', '),
    );
    checks.add(
      `Airflow ${major}: no connection leaves this machine`,
      escapes(stage.home).length === 0,
      JSON.stringify(escapes(stage.home).slice(0, 3)),
    );
    const [provoked] = await provokeEscape(stage.home);
    checks.add(`Airflow ${major}: the guard stops a connection that leaves`, provoked?.host === '192.0.2.1');
    await optedOut(stage);
    await withoutNoProxy(stage);
    return found;
  } catch (error) {
    sayLogs(stage.home.folder);
    throw error;
  } finally {
    await stage.end();
  }
}

/** Prints the ends of Airflow's logs, for a reader who has only this output. */
function sayLogs(airflowFolder) {
  for (const file of readdirSync(airflowFolder)) {
    if (file.endsWith('.log')) console.error(`${file}:\n${readFileSync(path.join(airflowFolder, file), 'utf8').slice(-3000)}`);
  }
}

function stopwatch() {
  let since = Date.now();
  return (what) => {
    console.log(`       ${what}: ${((Date.now() - since) / 1000).toFixed(1)} s`);
    since = Date.now();
  };
}

// Runs the samples of a scenario, one process each. Each round runs all rows, so a disturbance of the machine affects all rows.
import { runChild } from './child.mjs';
import { refusingUrl, startCollector } from './collector.mjs';

const failed = (error) => ({ broken: [error.message] });

/** Rows of our own code, which another build has as well. */
const isOurs = ({ row }) => /^(ours|relay)\b/.test(row);

/** The scenario of the cells that belong to the other build. */
export const besideOf = (name) => `${name}, beside`;

/** The number of samples that only wait and run at the same time. */
const TOGETHER = 20;

/**
 * @param scenario a module of ../scenarios: `plan` lists the samples, `measure` runs in the child, `judge` adds the collector's counts
 * @param tls the certificate of TLS samples and the file that their clients trust; without it they are left out
 * @param beside the URL of another build's folder: each sample of ours is repeated with it, right after
 * @param maxRounds the most rounds of a sample
 * @returns cells, one for each row and column, with a list of rounds for each value
 */
export async function runScenario(name, scenario, { quick, tls, beside, maxRounds, report }) {
  const planned = scenario.plan({ quick }).filter((sample) => tls !== undefined || sample.tls !== true);
  const hasTwin = (sample) => beside !== undefined && scenario.isOfThisClone !== true && isOurs(sample);
  const samples = planned.flatMap((sample) => (hasTwin(sample) ? [sample, { ...sample, build: beside }] : [sample]));
  const cells = samples.map(({ row, column = '', build }) => {
    return { scenario: build === undefined ? name : besideOf(name), row, column, values: {} };
  });
  const broken = [];
  const shared = samples.some((sample) => sample.reuseCollector) ? await startCollector(samples[0].collector) : undefined;
  const once = async (index, round) => {
    const { row, column = '' } = samples[index];
    report(`${cells[index].scenario}: ${row}${column === '' ? '' : `, ${column}`} (round ${round + 1})`);
    // A failed sample is reported at the end; the others still count.
    const { broken: faults = [], ...values } = await runSample(name, scenario, samples[index], { tls, shared }).catch(failed);
    for (const fault of faults) broken.push(`${cells[index].scenario}, ${row}: ${fault}`);
    for (const [key, value] of Object.entries(values)) (cells[index].values[key] ??= [])[round] = value;
  };
  try {
    for (let round = 0; round < Math.min(maxRounds, Math.max(0, ...samples.map(({ rounds }) => rounds))); round += 1) {
      const due = samples.flatMap((sample, index) => (round < sample.rounds ? [index] : []));
      for (const index of due.filter((at) => samples[at].together !== true)) await once(index, round);
      const waiters = due.filter((at) => samples[at].together === true);
      while (waiters.length > 0) await Promise.all(waiters.splice(0, TOGETHER).map((index) => once(index, round)));
    }
  } finally {
    await shared?.close();
  }
  return { cells, broken };
}

async function runSample(name, scenario, sample, { tls, shared }) {
  const { collector: wanted, helper: helperWanted, params, flags, capMs, build } = sample;
  const isRefusing = wanted?.kind === 'refusing';
  const own = wanted !== undefined && !isRefusing && shared === undefined;
  const collector = own ? await startCollector({ ...wanted, ...(sample.tls && { tls: tls.pair }) }) : shared;
  const helper = helperWanted === undefined ? undefined : await startCollector(helperWanted);
  try {
    const endpoint = isRefusing ? await refusingUrl() : collector?.url;
    const env = { ...(sample.tls && { NODE_EXTRA_CA_CERTS: tls.caFile }), ...(build !== undefined && { BENCH_BUILD: build }) };
    const ended = await runChild(name, { ...params, endpoint, helperEndpoint: helper?.url }, { flags, env, capMs });
    const counts = own ? await collector.counts() : {};
    return scenario.judge?.(ended.values, counts, { ...ended, params }) ?? ended.values;
  } finally {
    if (own) await collector.close();
    await helper?.close();
  }
}

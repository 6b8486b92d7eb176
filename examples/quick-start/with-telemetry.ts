// The orchestrator with this package. quick-start.ts runs it in its own process, like naive-composition.ts.
import { createTelemetry } from 'cosmos-telemetry';
import { hookTimes, jaffleShop, Orchestrator, tell } from './jaffle-shop.js';

const [, , endpoint = '', runs = '1', deadlineMs = '500'] = process.argv;

const host = new Orchestrator();
const telemetry = createTelemetry({ product: { name: 'cosmos', version: '1.12.0' }, endpoint, env: {} });
telemetry.register(host);

const dag = jaffleShop();
for (let run = 0; run < Number(runs); run += 1) await host.run('jaffle_shop', dag, 0);

const hooks = hookTimes(host.hookUs);
const { published, sent } = telemetry.stats();
tell({ hooks, events: published, settled: sent });
const report = await telemetry.close({ deadlineMs: Number(deadlineMs) });
tell({ hooks, events: report.published, settled: report.published - report.pending, report });

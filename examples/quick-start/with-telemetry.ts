// The orchestrator with this package. quick-start.ts runs it in its own process, like by-hand.ts.
import { createTelemetry } from 'cosmos-telemetry';
import { acme } from '../acme/product.js';
import { measure } from './measure.js';
import { Orchestrator } from './orchestrator.js';

const [, , endpoint = '', runs = '1', deadlineMs = '500'] = process.argv;

const host = new Orchestrator();
const telemetry = createTelemetry({ ...acme, endpoint, env: {} });
telemetry.register(host);

await measure(host, Number(runs), async () => {
  const { reasons, ...account } = await telemetry.close({ deadlineMs: Number(deadlineMs) });
  return { account, reasons };
});

// A program that asks for consent on its terminal. Its argument says what it does beside that. It prints the report as JSON.
import { createInterface } from 'node:readline/promises';
import { createTelemetry } from '../../src/index.js';

const telemetry = createTelemetry({
  product: { name: 'acme', version: '1.0.0' },
  endpoint: 'http://127.0.0.1:9',
  consent: 'opt-in',
  command: 'acme telemetry',
});
const { stdin, stdout } = process;
const mode = process.argv[2];
if (mode === 'readline') {
  const lines = createInterface({ input: stdin, output: stdout });
  await lines.question('Who are you? [y/N] ');
  lines.close();
}
if (mode === 'raw') stdin.setRawMode(true);
if (mode === 'closes') process.once('SIGINT', () => void telemetry.close());
const { state, answer } = await telemetry.consent.ask({ input: stdin, output: stdout });
const isRaw = stdin.isRaw;
if (mode === 'raw') stdin.setRawMode(false);
stdout.write(`report ${JSON.stringify({ state, answer: answer ?? null, isRaw })}\n`);

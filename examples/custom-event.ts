// An event of your own: declared once, typed, and checked again when it is published, since JavaScript and `any` bypass the types. A field
// that is not declared, or has a value of another kind, is not sent; the event is sent without it, and the report counts it.
import { boolean, command, count, createTelemetry, defineEvent, duration, identifier, nullable, oneOf, optional } from 'cosmos-telemetry';
import { recordingTransport, testEnvironment } from 'cosmos-telemetry/testing';

// There is no kind for free text. Each field has a description and a reason; both appear in your privacy notice.
const render = defineEvent(
  'render',
  {
    loader: oneOf(['manifest', 'dbt_ls'], { description: 'How the project was loaded.', reason: 'To know which loader must be fast.' }),
    models: count({ description: 'How many models the project has.', reason: 'To know the sizes that must stay fast.' }),
    elapsed: duration({ description: 'How long rendering took, in seconds.', reason: 'To find versions that became slower.' }),
    cached: boolean({ description: 'Whether a cache was used.', reason: 'To know whether the cache is worth its upkeep.' }),
    selector: nullable(identifier({ description: 'The class of the selector.', reason: 'To know which selectors are in use.' })),
    flags: optional(command({ description: 'The bare flags given to dbt.', reason: 'To know which flags must keep working.' })),
  },
  'Sent when a dbt project has been rendered as a DAG.',
);

const transport = recordingTransport();
const telemetry = createTelemetry({
  product: { name: 'acme', version: '3.1.0' },
  events: [render],
  transport,
  env: testEnvironment('acme'),
});

// Any code can subscribe, such as a log or a test. It gets what would leave, frozen, after the code that published.
telemetry.bus.on('render', ({ models, elapsed }) => {
  console.log(`rendered ${models} models in ${elapsed} s`);
});

telemetry.publish('render', { loader: 'manifest', models: 13, elapsed: 7, cached: true, selector: null, flags: '--full-refresh' });

// TypeScript refuses these values, but JavaScript can pass them.
telemetry.publish('render', {
  // @ts-expect-error: not one of the two values
  loader: '/home/ada/secret/manifest.json',
  models: 13,
  elapsed: 7,
  cached: false,
  selector: 'TagSelector',
});
telemetry.publish('render', {
  loader: 'dbt_ls',
  models: 13,
  elapsed: 9.5,
  cached: false,
  selector: null,
  // @ts-expect-error: not declared
  project: 'mergers-and-acquisitions',
});

const { sent, fieldsDropped } = await telemetry.close();
for (const { requestTarget } of transport.events) console.log(requestTarget);
console.log(`sent ${sent}, fields dropped ${fieldsDropped}`);

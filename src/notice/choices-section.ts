import { DEFAULTS } from '../constants.js';
import { codeSpan, paragraph, table } from '../markdown.js';
import { configFilePlaces, optOutTable } from '../opt-out-table.js';
import { switchVariable } from '../settings/opt-outs.js';

/** How to stop it: each switch, and where it stands. */
export function howToStopIt(product: string): string[] {
  const switches = optOutTable(product);
  return [
    '## How to stop it',
    paragraph(
      'Any one of these is enough, and any no wins over every yes. What cannot be read or understood counts as a no. Upper and lower ' +
        'case are the same in the values of variables.',
    ),
    table(
      ['Switch', 'Says no when', 'Covers'],
      switches.map(({ name, kind, optsOutWhen, covers }) => [kind === 'file' ? name : codeSpan(name), optsOutWhen, covers]),
    ),
    paragraph(
      'Once one of them says no, nothing is sent and nothing is prepared: no connection, no look-up of a name, no file written, no timer. ' +
        'A no that appears while the program runs is heeded too: what waits is dropped, what is under way is aborted, and it stays ' +
        'off until the program starts again.',
    ),
    paragraph('The files stand here; on Linux `$XDG_CONFIG_HOME` and `$XDG_CONFIG_DIRS`, where set, name other folders:'),
    table(
      ['System', 'Your own telemetry.json', "The machine's telemetry.json"],
      configFilePlaces(product).map(({ system, own, machineWide }) => [system, codeSpan(own), codeSpan(machineWide)]),
    ),
    paragraph('To see which switch decides and where it stands, run this where the program is installed:'),
    [
      '```sh',
      'node --input-type=module -e "',
      "  import { explainSettings, resolveSettings } from 'cosmos-telemetry';",
      `  console.log(explainSettings(resolveSettings({ product: '${product}' })));`,
      '"',
      '```',
    ].join('\n'),
  ];
}

/** Where it goes, what is kept, and how to look at it. */
export function whereItGoes(product: string, endpoint: string | undefined): string[] {
  const own = switchVariable(product);
  const waiting = DEFAULTS.maxPendingEvents.toLocaleString('en-US');
  return [
    '## Where it goes',
    paragraph(
      `${target(endpoint)} Whoever runs the machine can have it sent elsewhere, for example to a server of their own: ` +
        `${codeSpan(`${own}_ENDPOINT`)} in the environment goes before what the program says. ` +
        'A redirect to another host is not followed unless the program names that host.',
    ),
    paragraph(
      `Nothing is written to disk, unless you ask for it as below. Events wait in memory, ${waiting} at most unless the program says otherwise, and are gone when the ` +
        'program ends. What a server keeps of what reaches it, and for how long, is up to those who run it.',
    ),
    '## How to see it',
    paragraph(
      `${codeSpan(`${own}_DEBUG=1`)} prints each request to the standard error output and sends none. With the path of a file in ` +
        'the place of the `1`, the requests are appended to that file and not sent.',
    ),
  ];
}

function target(endpoint: string | undefined): string {
  if (endpoint === undefined) return 'To the endpoint that the program names; there is none by default.';
  const isPlain = endpoint.startsWith('http:');
  const how = isPlain ? 'over plain HTTP, which whoever carries it can read' : 'over an encrypted connection';
  return `To ${codeSpan(endpoint)}, ${how}.`;
}

// Every switch of a product in words, and the places of its configuration files, for people.
import { COSMOS } from '../base/constants.js';
import { AIRFLOW_VARIABLE, switchVariable, TRACKING_VARIABLES } from '../opt-out/variables.js';
import { codeSpan } from './markdown.js';

/** One way to opt out, in words for a privacy notice or a command line. */
interface OptOut {
  /** The variable, the option as it is written, or the file in words; plain text. */
  readonly name: string;
  readonly kind: 'env' | 'file' | 'option';
  /** When it opts out; Markdown. */
  readonly optsOutWhen: string;
  /** What it covers. */
  readonly covers: string;
  /** A line that opts out, if one line is enough. */
  readonly example?: string;
  /** A value of the variable that does not opt out. */
  readonly harmlessValue?: string;
}

/** Where the two files `telemetry.json` of a product are on one system. */
interface ConfigFilePlaces {
  readonly system: string;
  /** The user's own file. */
  readonly own: string;
  /** The file for all users of the machine. */
  readonly machineWide: string;
}

/** The content of a configuration file that opts out. */
export const OPT_OUT_FILE = '{"enabled": false}';

/** Every switch of a product; those that users control come first. Any one that opts out wins over all others. */
export function optOutTable(product: string): readonly OptOut[] {
  const own = switchVariable(product);
  return [
    ...TRACKING_VARIABLES.map(
      (name): OptOut => ({
        name,
        kind: 'env',
        optsOutWhen: 'set to anything but `0`, `f`, `false`, `none` or an empty value',
        covers: 'every program that respects it',
        example: `${name}=1`,
        harmlessValue: '0',
      }),
    ),
    {
      name: own,
      kind: 'env',
      optsOutWhen: 'set to anything but `1`, `true`, `on`, `yes` or `enabled`',
      covers: product,
      example: `${own}=off`,
      harmlessValue: '1',
    },
    ...(product === COSMOS ? airflowSwitches() : []),
    {
      name: 'your own telemetry.json',
      kind: 'file',
      optsOutWhen: `it contains ${codeSpan(OPT_OUT_FILE)}`,
      covers: `${product}, for you`,
      example: OPT_OUT_FILE,
    },
    {
      name: "the machine's telemetry.json",
      kind: 'file',
      optsOutWhen: `it contains ${codeSpan(OPT_OUT_FILE)}; no user setting overrides it`,
      covers: `${product}, for every user of the machine`,
      example: OPT_OUT_FILE,
    },
    { name: 'enabled: false', kind: 'option', optsOutWhen: "the program's author set it", covers: 'that program' },
    {
      name: "consent: 'opt-in'",
      kind: 'option',
      optsOutWhen: `the program's author set it, until ${codeSpan(own)} or your own file says yes`,
      covers: 'that program',
    },
  ];
}

function airflowSwitches(): OptOut[] {
  const optsOutWhen = 'set to anything but `t`, `true` or `1`';
  return [
    {
      name: AIRFLOW_VARIABLE,
      kind: 'env',
      optsOutWhen,
      covers: COSMOS,
      example: `${AIRFLOW_VARIABLE}=False`,
      harmlessValue: 'true',
    },
    {
      name: 'enable_telemetry under [cosmos] in airflow.cfg',
      kind: 'file',
      optsOutWhen: `${optsOutWhen}, and the variable is not set`,
      covers: COSMOS,
      example: 'enable_telemetry = False',
    },
  ];
}

/**
 * Where the files `telemetry.json` of a product are, by system. On Linux, `$XDG_CONFIG_HOME` (XDG Base Directory Specification 0.8)
 * replaces `~/.config`, and the folders of `$XDG_CONFIG_DIRS` are read in addition to `/etc/xdg`.
 */
export function configFilePlaces(product: string): readonly ConfigFilePlaces[] {
  const file = `${product}/telemetry.json`;
  return [
    {
      system: 'Linux and others',
      own: `~/.config/${file}`,
      machineWide: `/etc/xdg/${file}`,
    },
    {
      system: 'macOS',
      own: `~/Library/Application Support/${file}`,
      machineWide: `/Library/Application Support/${file}`,
    },
    {
      system: 'Windows',
      own: `%APPDATA%\\${product}\\telemetry.json`,
      machineWide: `%PROGRAMDATA%\\${product}\\telemetry.json`,
    },
  ];
}

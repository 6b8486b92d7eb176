import { AIRFLOW_VARIABLE, COSMOS, switchVariable, TRACKING_VARIABLES } from '../opt-out/variables.js';
import { codeSpan } from './markdown.js';

/** One way to say no, in words: what a privacy notice and a command line tell people. */
export interface OptOut {
  /** The variable, the option as it is written, or the file in words; plain text. */
  readonly name: string;
  readonly kind: 'env' | 'file' | 'option';
  /** What it must say to opt out; Markdown. */
  readonly optsOutWhen: string;
  /** Whom it covers. */
  readonly covers: string;
  /** A line that opts out. Undefined where there is no one line to give. */
  readonly example?: string;
}

/** Where a product's file `telemetry.json` stands on one system: the person's own, and that of the whole machine. */
export interface ConfigFilePlaces {
  readonly system: string;
  readonly own: string;
  readonly machineWide: string;
}

const EVERYTHING = 'every program that heeds it';

/** The content of a configuration file that opts out. */
export const OPT_OUT_FILE = '{"enabled": false}';

/** Every switch of a product, those that need nobody's leave first. Any one that says no wins over all that say yes. */
export function optOutTable(product: string): readonly OptOut[] {
  const own = switchVariable(product);
  return [
    ...TRACKING_VARIABLES.map(
      (name): OptOut => ({
        name,
        kind: 'env',
        optsOutWhen: 'set to anything but `0`, `f`, `false`, `none` or nothing',
        covers: EVERYTHING,
        example: `${name}=1`,
      }),
    ),
    {
      name: own,
      kind: 'env',
      optsOutWhen: 'set to anything but `1`, `true`, `on`, `yes`, `enabled`',
      covers: product,
      example: `${own}=off`,
    },
    ...(product === COSMOS ? airflowSwitches() : []),
    {
      name: 'telemetry.json of your own',
      kind: 'file',
      optsOutWhen: `it holds ${codeSpan(OPT_OUT_FILE)}`,
      covers: `${product}, for you`,
      example: OPT_OUT_FILE,
    },
    {
      name: 'telemetry.json of the machine',
      kind: 'file',
      optsOutWhen: `it holds ${codeSpan(OPT_OUT_FILE)}; no setting of a user lifts it`,
      covers: `${product}, for everyone on the machine`,
      example: OPT_OUT_FILE,
    },
    { name: 'enabled: false', kind: 'option', optsOutWhen: 'its author wrote it', covers: 'the program it is written in' },
    {
      name: "consent: 'opt-in'",
      kind: 'option',
      optsOutWhen: `its author wrote it, until ${codeSpan(own)} or your own file says yes`,
      covers: 'the program it is written in',
    },
  ];
}

/**
 * Where the files `telemetry.json` of a product stand, by system. On Linux `$XDG_CONFIG_HOME` and `$XDG_CONFIG_DIRS` (XDG Base
 * Directory Specification 0.8) name other folders than `~/.config` and `/etc/xdg`.
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

function airflowSwitches(): OptOut[] {
  const optsOutWhen = 'anything but `t`, `true`, `1`';
  return [
    { name: AIRFLOW_VARIABLE, kind: 'env', optsOutWhen: `set to ${optsOutWhen}`, covers: COSMOS, example: `${AIRFLOW_VARIABLE}=False` },
    {
      name: 'enable_telemetry under [cosmos] in airflow.cfg',
      kind: 'file',
      optsOutWhen: `it says ${optsOutWhen}, and the variable is not set`,
      covers: COSMOS,
      example: 'enable_telemetry = False',
    },
  ];
}

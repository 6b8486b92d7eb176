/*
 * The commands `disable` and `enable`: they write the person's config file.
 */
import { COSMOS } from '../base/constants.js';
import { errorCode, placeName } from '../base/describe.js';
import { readConfigFile } from '../base/machine.js';
import { ConfigWriteError, noPlaceWords, writeConsent } from '../opt-out/config-write.js';
import { CONFIG_FILE, configFilePath, readTelemetryJson } from '../opt-out/telemetry-json.js';
import { CliFailure, EXIT } from './exit-codes.js';
import type { Command, CommandContext, CommandResult } from './command.js';
import { heading, inquire, inquiryJson, inquiryLines, labelled, STATE_WORDS } from './inquiry.js';

/** Writes the person's no. */
export const disable: Command = {
  summary: 'Turn telemetry off for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: ['Writes {"enabled": false} into your config file and keeps its other keys. Needs no network.'],
  run: (context) => switchTo(false, context),
};

/** Writes the person's yes. */
export const enable: Command = {
  summary: 'Turn telemetry on for yourself, in your config file.',
  usage: '',
  maxArgs: 0,
  help: [
    'Writes {"enabled": true} into your config file and keeps its other keys. Needs no network.',
    'If the environment, the policy of the machine or the program opts out, telemetry stays off, and the',
    'output says why. The exit code is 0 then, too.',
  ],
  run: (context) => switchTo(true, context),
};

/** For product `cosmos`: a user may expect this command to stop Astronomer Cosmos, too. */
const NOT_PYTHON = ['', 'Astronomer Cosmos for Python does not read this file. To stop it too, set DO_NOT_TRACK=1.'];

/** Writes a yes or a no, and shows the settings as they are then. Both commands use it, so each undoes the other. */
function switchTo(enabled: boolean, context: CommandContext): CommandResult {
  const { program, env, platform } = context;
  const file = configFilePath(program.product.name, env, platform);
  if (file === undefined) throw new CliFailure(noPlaceWords(platform));
  const written = writeSwitch(file, enabled);
  const inquiry = inquire(context);
  const isOverruled = enabled && !inquiry.enabled;
  const state = isOverruled && inquiry.state === 'off' ? 'stays off' : STATE_WORDS[inquiry.state];
  const said = `${file} ${written ? 'now says' : 'already said'} ${enabled ? 'yes' : 'no'}`;
  return {
    lines: [
      heading(inquiry, context, state),
      '',
      labelled(CONFIG_FILE, isOverruled && inquiry.state === 'off' ? `${said}, but any no wins over it` : said),
      ...inquiryLines(inquiry, context),
      ...(enabled ? [] : ['', 'Running programs notice within about a minute.']),
      ...(program.product.name === COSMOS && !enabled ? NOT_PYTHON : []),
    ],
    json: { ...inquiryJson(inquiry, context), written },
    problems: inquiry.problems,
    exitCode: EXIT.ok,
  };
}

/** Writes it. @returns Whether it was written: false if the file already said so. @throws CliFailure that names the file. */
export function writeSwitch(file: string, enabled: boolean): boolean {
  try {
    return writeConsent(file, enabled, { errorCode, placeName, readConfigFile, readTelemetryJson });
  } catch (error) {
    throw error instanceof ConfigWriteError ? new CliFailure(error.message) : error;
  }
}

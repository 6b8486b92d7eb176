import { COSMOS } from '../settings/opt-outs.js';
import { CONFIG_FILE } from '../settings/telemetry-files.js';
import { configFilePath } from '../settings/telemetry-places.js';
import type { Answer, CommandContext } from './command.js';
import { writeSwitch } from './config-edit.js';
import { CliFailure, EXIT } from './failure.js';
import { inquire } from './inquiry.js';
import { heading, inquiryJson, inquiryLines, labelled } from './inquiry-words.js';

/** Whoever stops `cosmos` here may believe to have stopped Astronomer Cosmos, too. */
const NOT_PYTHON = ['', 'Astronomer Cosmos itself, in Python, does not know this file: to stop that too, set DO_NOT_TRACK=1.'];

/** Writes a yes or no, and says what holds now. Both commands are this one, so that each undoes the other. */
export function switchTo(enabled: boolean, context: CommandContext): Answer {
  const { program, env, platform } = context;
  const file = configFilePath(program.product.name, env, platform);
  if (file === undefined) {
    const variables = platform === 'win32' ? 'neither APPDATA nor USERPROFILE names' : 'neither XDG_CONFIG_HOME nor HOME names';
    throw new CliFailure(`there is no place for a config file: ${platform === 'darwin' ? 'HOME does not name' : variables} a folder`);
  }
  const written = writeSwitch(file, enabled);
  const inquiry = inquire(context);
  const isHeldBack = enabled && !inquiry.enabled;
  const state = isHeldBack ? 'stays off' : inquiry.enabled ? 'is on' : 'is off';
  const what = written ? `${file} says so now` : `${file} said so already`;
  return {
    lines: [
      heading(inquiry, context, state),
      '',
      labelled(CONFIG_FILE, isHeldBack ? `${file} says yes${written ? ' now' : ' already'}, but any no wins over it` : what),
      ...inquiryLines(inquiry, context),
      ...(enabled ? [] : ['', 'Programs that are running notice within about a minute.']),
      ...(program.product.name === COSMOS && !enabled ? NOT_PYTHON : []),
    ],
    json: { ...inquiryJson(inquiry, context), written },
    problems: inquiry.problems,
    exitCode: EXIT.ok,
  };
}

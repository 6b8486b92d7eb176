/*
 * The command `status`.
 */
import { EXIT } from './exit-codes.js';
import type { Command, CommandContext, CommandResult } from './command.js';
import { debugLines, heading, inquire, inquiryJson, inquiryLines, placeLines, STATE_WORDS } from './inquiry.js';

/** Shows whether telemetry is on, and every rule that takes part in the decision. */
export const status: Command = {
  summary: 'Show whether telemetry is on, and which rule decides.',
  usage: '',
  maxArgs: 0,
  help: [
    'Shows the deciding rule and where it is set, the other rules, how to turn telemetry on or off, the',
    'endpoint and who set it, and debug mode. The exit code is 1 if a file that may hold an opt-out cannot',
    'be used: nothing is sent then.',
  ],
  run: (context: CommandContext): CommandResult => {
    const inquiry = inquire(context);
    return {
      lines: [
        heading(inquiry, context, STATE_WORDS[inquiry.state]),
        '',
        ...inquiryLines(inquiry, context),
        ...debugLines(inquiry),
        ...placeLines(inquiry),
      ],
      json: inquiryJson(inquiry, context),
      problems: inquiry.problems,
      exitCode: inquiry.hasUnusableFile ? EXIT.failure : EXIT.ok,
    };
  },
};

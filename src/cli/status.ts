import { EXIT } from './command.js';
import type { Answer, Command, CommandContext } from './command.js';
import { debugWords, heading, inquire, inquiryJson, inquiryLines, places } from './inquiry.js';

/** Says whether telemetry is on, and everything that has a say in it. */
export const status: Command = {
  summary: 'Say whether telemetry is on, which rule decides, and where that stands.',
  usage: '',
  maxArgs: 0,
  help: [
    'Shows the rule that won and those that lost, where events go and who said so, debug mode, and what',
    'would have to change to switch it the other way. It ends with 1 where a file that may hold an opt-out',
    'cannot be used: telemetry is off then.',
  ],
  run: (context: CommandContext): Answer => {
    const inquiry = inquire(context);
    return {
      lines: [
        heading(inquiry, context, inquiry.enabled ? 'is on' : 'is off'),
        '',
        ...inquiryLines(inquiry, context),
        ...debugWords(inquiry),
        ...places(inquiry),
      ],
      json: inquiryJson(inquiry, context),
      problems: inquiry.problems,
      exitCode: inquiry.hasUnusableFile ? EXIT.failure : EXIT.ok,
    };
  },
};

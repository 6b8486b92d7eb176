/*
 * The command `notice`.
 */
import { errorCode, placeName } from '../base/describe.js';
import { noticeOf, writeNotice } from '../notice/privacy-notice.js';
import type { Command, CommandResult } from './command.js';
import { CliFailure } from './exit-codes.js';

/** Prints the privacy notice, or writes it into a file. */
export const notice: Command = {
  summary: 'Print the privacy notice, or write it into a file.',
  usage: '[FILE]',
  maxArgs: 1,
  help: [
    'The notice is made from the declarations of all events: what is sent and why, what is not, where it',
    'goes, and how to stop it. With FILE, such as PRIVACY.md, it is written there.',
  ],
  run({ program, args }): CommandResult {
    const text = noticeOf(program.description);
    const [file] = args;
    const json = { product: program.product.name, notice: text };
    if (file === undefined) return { lines: text.trimEnd().split('\n'), json: { ...json, file: null, written: false } };
    const place = placeName(file, undefined);
    try {
      const written = writeNotice(file, text);
      return { lines: [written ? `Wrote ${place}.` : `${place} is up to date.`], json: { ...json, file, written } };
    } catch (error) {
      throw new CliFailure(`${place} cannot be written to (${errorCode(error)})`);
    }
  },
};

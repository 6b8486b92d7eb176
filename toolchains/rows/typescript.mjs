// TypeScript: a user's programs (test/types) against the declarations of the packed package, in the strictest options.
import { join } from 'node:path';
import { checkTypes, SETUP_NAMES } from '../../scripts/check-types.mjs';
import { tool } from '../project.mjs';

const VERSIONS = { 5.4: 'typescript-5.4', 5.9: 'typescript', '6.0': 'typescript-6', '7.0': 'typescript-7' };

function row(version, alias, setups, what) {
  return {
    tool: `TypeScript ${version}`,
    what,
    check: (workshop) => checkTypes({ typescript: tool(alias, ''), setups, folder: join(workshop.home, 'node_modules/cosmos-telemetry') }),
  };
}

export const part = 'TypeScript';
export const rows = [
  ...Object.entries(VERSIONS).flatMap(([version, alias]) =>
    SETUP_NAMES.map((name) =>
      row(version, alias, [name], name === 'node' ? 'with @types/node' : name === 'node and dom' ? 'with both' : name),
    ),
  ),
  row('5.4', VERSIONS['5.4'], ['node10'], 'moduleResolution node10'),
  row('5.9', VERSIONS['5.9'], ['node10'], 'moduleResolution node10'),
  {
    tool: 'TypeScript 6 and 7, moduleResolution node10',
    what: 'moduleResolution node10',
    unsupported: 'TypeScript 6 takes it only with `ignoreDeprecations`, and 7 has removed it',
  },
];

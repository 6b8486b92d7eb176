// Package managers: each installs the packed package into an empty project, and a program delivers, by import and by require.
import { DELIVER, expect, NEWEST, tool } from '../project.mjs';

const close = `const report = await telemetry.close();
if (report.sent !== 3) throw new Error(JSON.stringify(report));
`;
const FILES = {
  'package.json': '{ "name": "program", "private": true }',
  'program.mjs': `import { createTelemetry } from 'cosmos-telemetry';\n${DELIVER}${close}`,
  'program.cjs': `const { createTelemetry } = require('cosmos-telemetry');\n(async () => {${DELIVER}${close}})();`,
};

/** @param add installs the package into a project with a tool */
function row(name, { files = {}, add, start = (file) => [NEWEST, [file]] }) {
  return {
    tool: name,
    what: 'import and require',
    async check(workshop) {
      const project = workshop.project({ ...FILES, ...files }, undefined);
      await add(project, workshop.tarball);
      for (const file of ['program.mjs', 'program.cjs']) await project.must(...start(file));
      expect(project.requests() === 6, `${project.requests()} of 6 requests`);
    },
  };
}

const pnpm = [tool('pnpm', 'bin/pnpm.cjs')];
const yarn = [tool('@yarnpkg/cli-dist', 'bin/yarn.js')];

export const part = 'Package managers';
export const rows = [
  row('npm', { add: (alone, tarball) => alone.must('npm', ['install', '--no-audit', '--no-fund', tarball]) }),
  row('pnpm 10', {
    add: (alone, tarball) => alone.must(NEWEST, [...pnpm, 'add', '--store-dir', 'store', tarball]),
  }),
  row("Yarn 4, Plug'n'Play", {
    files: { 'yarn.lock': '', '.yarnrc.yml': 'nodeLinker: pnp\nenableGlobalCache: false\nenableTelemetry: false\n' },
    add: (alone, tarball) => alone.must(NEWEST, [...yarn, 'add', `cosmos-telemetry@file:${tarball}`]),
    start: (file) => [NEWEST, [...yarn, 'node', file]],
  }),
];

// The disk space of an installation: packages, files and bytes of node_modules after a real install into an empty folder.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The packages to install for each row; the versions are those of bench/package.json. */
const PACKAGES = {
  'eventemitter3, p-queue, p-retry, node-fetch': ['eventemitter3', 'p-queue', 'p-retry', 'node-fetch'],
  OpenTelemetry: ['@opentelemetry/sdk-logs', '@opentelemetry/exporter-logs-otlp-http', '@opentelemetry/api'],
  PostHog: ['posthog-node'],
  Segment: ['@segment/analytics-node'],
  Sentry: ['@sentry/node'],
  'Application Insights': ['applicationinsights'],
};

/** It installs the packed package of this clone. */
export const isOfThisClone = true;

export function plan({ quick }) {
  return quick ? [] : ['ours', ...Object.keys(PACKAGES)].map((row) => ({ row, rounds: 1, params: { row }, capMs: 300_000 }));
}

export function measure({ row }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'bench-install-'));
  try {
    writeFileSync(path.join(folder, 'package.json'), '{ "name": "consumer", "private": true }');
    npm(
      folder,
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      ...(row === 'ours' ? [packed(folder)] : PACKAGES[row].map(pinned)),
    );
    const files = readdirSync(path.join(folder, 'node_modules'), { recursive: true }).map((file) =>
      path.join(folder, 'node_modules', file),
    );
    const stats = files.map((file) => statSync(file)).filter((stat) => stat.isFile());
    const { packages } = JSON.parse(readFileSync(path.join(folder, 'package-lock.json'), 'utf8'));
    return {
      packages: Object.keys(packages).length - 1,
      files: stats.length,
      megabytes: stats.reduce((sum, { size }) => sum + size, 0) / 1e6,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function packed(folder) {
  const [{ filename }] = JSON.parse(npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder));
  return `./${filename}`;
}

function pinned(name) {
  const { dependencies } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return `${name}@${dependencies[name]}`;
}

function npm(cwd, ...args) {
  return execFileSync(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

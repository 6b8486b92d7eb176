// A PostgreSQL of its own, on a socket in a folder, and what it reads.
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DEBIAN = '/usr/lib/postgresql';

/** The folder of `initdb`, or undefined. Debian has it outside of the search path. */
function binaries() {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((one, other) => Number(other) - Number(one)) : [];
  const folders = [...versions.map((version) => join(DEBIAN, version, 'bin')), ...(process.env.PATH ?? '').split(':')];
  return folders.find((folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'psql')));
}

/** The account that runs the server: it refuses to run as root. */
function account() {
  if (process.getuid() !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout.trim()));
  return uid > 0 && gid > 0 ? { uid, gid } : undefined;
}

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    timeout: 120_000,
    ...options,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error ?? stderr}`);
  return stdout;
}

/** @returns Why it cannot run, or undefined. */
export function whyNoPostgres() {
  if (binaries() === undefined) return 'PostgreSQL is not installed';
  return account() === undefined ? 'there is no account postgres, and the server refuses to run as root' : undefined;
}

/** Runs the statements in a new cluster, in a session outside of UTC, and stops it. @returns What the readers answer */
export function readByPostgres({ folder, statements, columns, query, table }) {
  const bin = binaries();
  const owner = account();
  const data = join(folder, 'postgres');
  mkdirSync(data);
  chmodSync(data, 0o700);
  if (owner.uid !== undefined) chownSync(data, owner.uid, owner.gid);
  const server = { ...owner, cwd: data };
  run(
    join(bin, 'initdb'),
    ['-D', join(data, 'cluster'), '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--no-locale', '--no-sync'],
    server,
  );
  const settings = `-c listen_addresses='' -c unix_socket_directories='${data}' -c unix_socket_permissions=0777 -c fsync=off`;
  const control = (...args) =>
    run(join(bin, 'pg_ctl'), ['-D', join(data, 'cluster'), '-w', '-l', join(data, 'log'), ...args], { ...server, stdio: 'ignore' });
  control('start', '-o', settings);
  try {
    const psql = (...args) =>
      run(join(bin, 'psql'), ['-X', '-h', data, '-U', 'postgres', '-v', 'ON_ERROR_STOP=1', '-At', ...args], {
        cwd: folder,
        env: { ...process.env, PGTZ: 'America/New_York', PGCLIENTENCODING: 'UTF8' },
      });
    const script = join(folder, 'load.sql');
    const { createTable, insertFile } = statements.postgres;
    writeFileSync(script, [createTable, createTable, insertFile, insertFile].join('\n\n'));
    psql('-q', '-f', script);
    const shown = columns.map(({ name }) => (name === 'time' ? '(extract(epoch FROM "time") * 1000)::bigint' : `"${name}"`)).join(', ');
    // In hex, because psql prints a text without the characters that it takes for invalid, such as U+10FFFF: see findings/psql-noncharacters.sh.
    const jsonOf = (list, from) =>
      psql('-c', `SELECT encode(convert_to(json_build_array(${list})::text, 'UTF8'), 'hex') FROM ${from}`)
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(Buffer.from(line, 'hex').toString('utf8')));
    const [[version]] = jsonOf("current_setting('server_version')", '(SELECT 1) AS one');
    const sums = psql('-c', `SELECT to_json(array_agg(q)) FROM (${query.replace('TABLE', table)}) AS q`);
    return {
      version: `PostgreSQL ${version}`,
      rows: jsonOf(shown, table),
      sums: JSON.parse(sums).map((row) => Object.values(row)),
      rest: jsonOf('"id", "_rest"', `${table} WHERE "_rest" IS NOT NULL`),
    };
  } finally {
    control('stop', '-m', 'immediate');
  }
}

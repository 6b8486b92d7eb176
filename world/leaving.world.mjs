// The end of a process whose network swallows what it sends, in the network lab: a plain end is over within `exitDeadlineMs` and 50 ms,
// and `close()` within its deadline, whatever step of a connect is under way, on the lowest and the newest Node.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NAME_SERVERS, NOWHERE, openLab, SERVER } from './network/lab.mjs';

const SENDER = join(import.meta.dirname, 'network', 'sender.mjs');
const NODES = ['node-20', 'node-26'].map((name) => [name, join(import.meta.dirname, 'node_modules', name, 'bin', 'node')]);
/** How much later than its deadline an end may be. Many clients have their own processor time on top: 160 connects take it, not a wait. */
const BOUND_MS = 50;
const EXIT_MS = 250;
const CLOSE_MS = 700;
const AT_A_TIME = 3;

const failures = [];
const lab = await openLab({ roundTripMs: 20 });
lab.setFiles({ resolvConf: `nameserver ${NAME_SERVERS[1]}\n` });

const swallowed = `${SERVER}:9`;
const FAULTS = {
  'SYN dropped': { endpoint: `http://${NOWHERE}/e` },
  'SYN dropped, https': { endpoint: `https://${NOWHERE}/e` },
  'name server silent': { endpoint: 'http://api.example.test/e' },
  'name server silent, https': { endpoint: 'https://api.example.test/e' },
  'TLS never answered': { endpoint: `https://${swallowed}/e` },
  'request never answered': { endpoint: `http://${swallowed}/e` },
  'SYN to the proxy dropped, https': { endpoint: `https://${SERVER}/e`, options: { proxy: `http://${NOWHERE}:3128` } },
  'name of the proxy unanswered, https': { endpoint: `https://${SERVER}/e`, options: { proxy: 'http://proxy.example.test:3128' } },
  'CONNECT never answered': { endpoint: `https://${SERVER}/e`, options: { proxy: `http://${swallowed}` } },
  'SYN to the proxy dropped, http': { endpoint: `http://${SERVER}/e`, options: { proxy: `http://${NOWHERE}:3128` } },
};
/** Faults for the ends that take many clients, or a host of another kind. */
const MANY = /^SYN dropped|^name server|^CONNECT/;
/** How the host ends, by when, and against which faults only. A warm-up excludes the time that loading takes. */
const ENDS = {
  'plain end': { end: 'plain', byMs: EXIT_MS },
  'plain end after 400 ms': { end: 'plain', liveOnMs: 400, byMs: EXIT_MS },
  'plain end, connectTimeoutMs 2000': { end: 'plain', liveOnMs: 100, options: { connectTimeoutMs: 2000 }, byMs: EXIT_MS },
  'plain end, drainOnExit false': { end: 'plain', liveOnMs: 100, options: { drainOnExit: false }, byMs: 0 },
  'plain end of 20 clients': { end: 'plain', clients: 20, byMs: EXIT_MS, only: MANY },
  'plain end, standard input paused': { end: 'plain', pausesInput: true, liveOnMs: 100, byMs: EXIT_MS, only: MANY },
  'plain end of 20 clients, drainOnExit false': {
    end: 'plain',
    clients: 20,
    liveOnMs: 100,
    options: { drainOnExit: false },
    byMs: 0,
    only: MANY,
  },
  // A wrong guess comes first, so the next one waits.
  'plain end after 700 ms in which Node lists nothing': { end: 'plain', awaits: 'worker', liveOnMs: 700, byMs: 700 + EXIT_MS, only: MANY },
  'plain end, circuit open': {
    end: 'plain',
    liveOnMs: 2500,
    options: { connectTimeoutMs: 150 },
    byMs: EXIT_MS,
    only: /^SYN dropped$|^name/,
  },
  'plain end, drainOnExit false, circuit open': {
    end: 'plain',
    liveOnMs: 2500,
    options: { connectTimeoutMs: 150, drainOnExit: false },
    byMs: 0,
    only: /^SYN dropped$|^name/,
  },
  'close({ deadlineMs: 700 })': { end: 'close', deadlineMs: CLOSE_MS, byMs: CLOSE_MS },
};

async function end(node, { byMs, ...job }) {
  const { stdout } = await lab.run([SENDER, JSON.stringify({ everyMs: 0, warmUp: `http://${SERVER}:8080/warm-up`, ...job })], { node });
  const run = JSON.parse(stdout);
  const workMs = job.clients === undefined ? 0 : run.cpuAfterEndMs;
  return { ...run, isLate: run.afterEndMs > byMs + BOUND_MS + workMs };
}

async function meet(title, node, job) {
  let run = await end(node, job);
  // Repeated once: other work on the machine may have slowed it, and a real fault is slow again.
  if (run.isLate) run = await end(node, job);
  if (run.isLate) failures.push(`${title}: ended ${Math.round(run.afterEndMs)} ms after the script, ${job.byMs} ms are promised`);
  const { published, sent, failed, dropped, pending } = run;
  if (published !== sent + failed + dropped + pending) failures.push(`${title}: the account does not balance`);
  if (sent > 0) failures.push(`${title}: ${sent} sent`);
  return { tookMs: Math.round(run.afterEndMs), cpuMs: run.cpuAfterEndMs };
}

/** The processor time of an end grows at most as fast as the number of its clients. */
function compareWork(jobs) {
  for (const each of jobs.filter(({ job }) => job.clients !== undefined)) {
    const isAlone = ({ name, fault, way, job }) =>
      name === each.name && fault === each.fault && way === 'plain end' && job.clients === undefined;
    const { cpuMs } = jobs.find(isAlone);
    console.log(
      `${each.name}, ${each.fault}, ${each.way}: ${Math.round(each.cpuMs)} ms of processor time, one client ${Math.round(cpuMs)}`,
    );
    if (each.cpuMs > cpuMs * each.job.clients)
      failures.push(
        `${each.name}, ${each.fault}, ${each.way}: ${Math.round(each.cpuMs)} ms of processor time, over ${each.job.clients} times the ${Math.round(cpuMs)} ms of one client`,
      );
  }
}

async function all() {
  const jobs = [];
  for (const [name, node] of NODES) {
    if (!existsSync(node)) {
      console.log(`left out: ${name}, whose binary is for Linux on x64`);
      continue;
    }
    for (const [fault, where] of Object.entries(FAULTS)) {
      for (const [way, { only, ...how }] of Object.entries(ENDS)) {
        if (only?.test(fault) === false) continue;
        jobs.push({ name, node, fault, way, job: { ...where, ...how, options: { ...where.options, ...how.options } } });
      }
    }
  }
  const waiting = jobs.values();
  const worker = async () => {
    for (const each of waiting) Object.assign(each, await meet(`${each.name}, ${each.fault}, ${each.way}`, each.node, each.job));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  compareWork(jobs);
  const names = [...new Set(jobs.map(({ name }) => name))];
  console.log(
    `From the end of the script to the end of the process, in ms, on ${names.join(', ')}; none of 8 events a client can be delivered:`,
  );
  for (const [way, { byMs }] of Object.entries(ENDS)) {
    console.log(`${way}, promised ${byMs}:`);
    for (const fault of Object.keys(FAULTS)) {
      const took = jobs.filter((each) => each.way === way && each.fault === fault).map(({ tookMs }) => tookMs);
      if (took.length > 0) console.log(`  ${fault}: ${took.join(', ')}`);
    }
  }
}

try {
  await lab.startServer({ kind: 'http', port: 8080 });
  await lab.startServer({ kind: 'silent', port: 9 });
  await lab.startDns({ address: NAME_SERVERS[1], silent: true });
  await all();
} finally {
  await lab.close();
}
for (const what of failures) console.log(`FAILED: ${what}`);
process.exitCode = failures.length === 0 ? 0 : 1;

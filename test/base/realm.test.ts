// Globals that are not Node's: a page's, or fake timers. Each host is a process of its own.
import test from 'ava';
import type { Realm, RealmReport } from '../helpers/realm-child.js';
import { proves } from '../helpers/promises.js';
import { runChild } from '../helpers/run-child.js';

async function live(realm: Realm, endpoint: 'answers' | 'silent'): Promise<RealmReport> {
  const { stdout, stderr, code } = await runChild('realm-child', [realm, endpoint]);
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as RealmReport;
}

for (const realm of ['browser', 'fake timers'] as const) {
  test(proves('realm', `${realm}: events are delivered`), async (t) => {
    const { closed, emitted, unpacked, requests } = await live(realm, 'answers');
    t.like(closed, { published: 8, sent: 8, failed: 0, dropped: 0, pending: 0, timedOut: false });
    t.true(emitted);
    t.deepEqual(unpacked, { database: 'postgres' });
    t.is(requests, 9);
  });

  test(proves('realm', `${realm}: close() settles at its deadline, and so does a call that waits for a silent endpoint`), async (t) => {
    const { closed, emitted } = await live(realm, 'silent');
    t.like(closed, { published: 8, sent: 0, pending: 0, timedOut: true });
    t.false(emitted);
  });
}

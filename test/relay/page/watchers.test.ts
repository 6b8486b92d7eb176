// The pages that follow: how many, how often, and what a slow one costs.
import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import test from 'ava';
import type { PageParts, PartName } from '../../../src/relay/page/parts.js';
import { MAX_WATCHERS, Watchers } from '../../../src/relay/page/watchers.js';
import { VirtualClock } from '../../helpers/virtual-clock.js';

/** The answer to a page, as far as `Watchers` uses it. */
class Follower extends EventEmitter {
  readonly written: string[] = [];
  /** What the client has not read. */
  writableLength = 0;
  writableEnded = false;
  status: number | undefined;
  timeoutMs: number | undefined;
  readonly socket = Object.assign(new EventEmitter(), { setTimeout: (timeoutMs: number) => (this.timeoutMs = timeoutMs) });

  writeHead(status: number): this {
    this.status = status;
    return this;
  }

  write(text: string): void {
    this.written.push(text);
  }

  end(): void {
    this.writableEnded = true;
    this.emit('close');
  }

  destroy(): void {
    this.emit('close');
  }
}

function rig() {
  const clock = new VirtualClock();
  const parts = new Map<PartName, string>([
    ['state', 'Idle'],
    ['now', '0'],
  ]);
  let snapshots = 0;
  const watchers = new Watchers(clock, (): PageParts => {
    snapshots += 1;
    return new Map(parts);
  });
  const follow = (): { follower: Follower; isIn: boolean } => {
    const follower = new Follower();
    return { follower, isIn: watchers.add(follower as unknown as ServerResponse) };
  };
  return { clock, parts, watchers, follow, snapshots: () => snapshots };
}

/** The parts of each event that was written. */
const eventsOf = ({ written }: Follower) => written.map((text) => /data: (.*)\n\n$/.exec(text)?.[1]);

test('while nobody follows, no timer runs and no snapshot is made', async (t) => {
  const { clock, follow, snapshots } = rig();
  t.is(clock.pendingTimers, 0);
  await clock.advance(10_000);
  t.is(snapshots(), 0);
  const { follower } = follow();
  t.is(clock.pendingTimers, 1);
  t.is(clock.pendingRefTimers, 0);
  follower.emit('close');
  t.is(clock.pendingTimers, 0);
  await clock.advance(10_000);
  t.is(snapshots(), 1);
});

test('all pages get the same snapshot once a second: all parts first, then those that have changed', async (t) => {
  const { clock, parts, follow, snapshots } = rig();
  const { follower: first } = follow();
  const { follower: second } = follow();
  t.is(snapshots(), 1);
  t.deepEqual(first.written, ['retry: 2000\n\ndata: {"state":"Idle","now":"0"}\n\n']);
  t.is(first.status, 200);
  // The limits of other requests end no stream.
  t.is(first.timeoutMs, 0);
  parts.set('now', '1');
  await clock.advance(1000);
  parts.set('state', 'Waiting');
  await clock.advance(1000);
  await clock.advance(1000);
  t.is(snapshots(), 4);
  for (const each of [first, second]) t.deepEqual(eventsOf(each).slice(1), ['{"now":"1"}', '{"state":"Waiting"}', undefined]);
  t.is(first.written[3], ':\n\n');
});

test('there is room for 16 pages, and for another once one has left', (t) => {
  const { follow, watchers } = rig();
  const all = Array.from({ length: 100 }, follow);
  t.is(all.filter(({ isIn }) => isIn).length, MAX_WATCHERS);
  t.is(MAX_WATCHERS, 16);
  t.is(watchers.size, 16);
  // Nothing was sent to the others: the caller refuses them.
  t.deepEqual(all[16]?.follower.written, []);
  t.is(all[16]?.follower.status, undefined);
  all[3]?.follower.emit('close');
  t.true(follow().isIn);
  t.false(follow().isIn);
});

test('a slow page holds one snapshot, gets all parts once it has read it, and is disconnected after 30 seconds', async (t) => {
  const { clock, parts, follow, watchers } = rig();
  const { follower } = follow();
  follower.writableLength = 500;
  parts.set('state', 'Waiting');
  await clock.advance(10_000);
  t.is(follower.written.length, 1);
  follower.writableLength = 0;
  parts.set('now', '11');
  await clock.advance(1000);
  t.is(eventsOf(follower)[1], '{"state":"Waiting","now":"11"}');
  parts.set('now', '12');
  await clock.advance(1000);
  t.is(eventsOf(follower)[2], '{"now":"12"}');
  follower.writableLength = 500;
  await clock.advance(30_000);
  t.is(watchers.size, 1);
  await clock.advance(1000);
  t.is(watchers.size, 0);
  t.is(clock.pendingTimers, 0);
});

test('a page that has ended its side and does not read is disconnected, too', async (t) => {
  const { clock, follow, watchers } = rig();
  const { follower } = follow();
  follower.writableLength = 500;
  follower.writableEnded = true;
  await clock.advance(32_000);
  t.is(watchers.size, 0);
  t.is(clock.pendingTimers, 0);
});

test('an answer that waits for others of its connection follows nothing: Node tells nobody when such a connection closes', (t) => {
  const { clock, watchers } = rig();
  const follower: object = Object.assign(new Follower(), { socket: null });
  t.false(watchers.add(follower as ServerResponse));
  t.is(watchers.size, 0);
  t.is(clock.pendingTimers, 0);
});

test('a page that ends its side is let go, and a close ends all', (t) => {
  const { clock, follow, watchers } = rig();
  const { follower: gone } = follow();
  const { follower } = follow();
  gone.socket.emit('end');
  t.true(gone.writableEnded);
  t.is(watchers.size, 1);
  watchers.close();
  t.true(follower.writableEnded);
  t.is(watchers.size, 0);
  t.is(clock.pendingTimers, 0);
  t.false(follow().isIn);
});

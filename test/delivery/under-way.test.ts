import test from 'ava';
import { isHeldByUs, underWay } from '../../src/delivery/under-way.js';
import type * as module from '../../src/delivery/under-way.js';
import { proves } from '../helpers/promises.js';

class Pipe {
  readonly reading: boolean;
  constructor(reading: boolean) {
    this.reading = reading;
  }
}
class TTY extends Pipe {}
class TCP extends Pipe {}

/** A stream as `_getActiveHandles` tells of it. */
function stream(handle: Pipe, connecting = false): object {
  return { pause: () => undefined, connecting, _handle: handle };
}

/** What Node tells of a process, and whether it has ended but for what of ours is under way. */
function ended(resources: readonly string[], handles: readonly object[] = []): boolean {
  // Node lists the timer with which we ask.
  return isHeldByUs({ getActiveResourcesInfo: () => ['Timeout', ...resources], _getActiveHandles: () => [...handles] });
}

// In series: what is under way is counted for the whole process.
test.serial('while nothing of ours is under way, the host is not asked', (t) => {
  t.false(ended([]));
});

test.serial('a process that only our connects keep alive has ended', (t) => {
  const done = [underWay.connects.begin(), underWay.connects.begin()];
  t.true(ended(['ConnectWrap', 'ConnectWrap']));
  t.true(ended(['ConnectWrap']), 'one of them has just ended');
  t.false(ended(['ConnectWrap', 'ConnectWrap', 'ConnectWrap']), 'a connect of the host');
  for (const other of ['Timeout', 'Immediate', 'FSReqPromise', 'TCPServerWrap', 'TCPSocketWrap', 'ProcessWrap', 'MessagePort', 'Worker']) {
    t.false(ended(['ConnectWrap', other]), other);
  }
  for (const end of done) end();
  t.false(ended(['ConnectWrap']));
});

test.serial(proves('exit-connect', 'a stream that neither reads nor connects keeps nothing alive, and is listed all the same'), (t) => {
  const done = underWay.connects.begin();
  t.true(ended(['ConnectWrap', 'PipeWrap', 'PipeWrap'], [stream(new Pipe(false)), stream(new Pipe(false))]), 'standard output and error');
  t.true(ended(['ConnectWrap', 'TTYWrap', 'PipeWrap'], [stream(new TTY(false)), stream(new Pipe(false))]));
  t.false(ended(['ConnectWrap', 'PipeWrap'], []), 'the channel to a parent process');
  t.false(ended(['ConnectWrap', 'PipeWrap', 'PipeWrap'], [stream(new Pipe(false))]), 'and beside standard output');
  t.false(ended(['ConnectWrap', 'TTYWrap'], [stream(new TTY(true))]), 'standard input');
  t.true(ended(['ConnectWrap', 'TTYWrap'], [stream(new TTY(false))]), 'standard input that is paused');
  t.true(ended(['ConnectWrap', 'TCPSocketWrap'], [stream(new TCP(false))]));
  t.false(ended(['ConnectWrap', 'TCPSocketWrap'], [stream(new TCP(false), true)]));
  t.false(ended(['ConnectWrap', 'TCPServerWrap'], [{ _handle: new TCP(false) }]), 'a server');
  t.false(ended(['ConnectWrap', 'PipeWrap'], [{ pause: () => undefined, _handle: null }]));
  t.false(ended(['ConnectWrap', 'WriteWrap', 'PipeWrap'], [stream(new Pipe(false))]), 'output that is not written yet');
  done();
});

test.serial(proves('exit-clients', "the timers of an exit's deadline are not the host's"), (t) => {
  const done = [underWay.connects.begin(), underWay.waits.begin(), underWay.waits.begin()];
  t.true(ended(['ConnectWrap', 'Timeout', 'Timeout']));
  t.false(ended(['ConnectWrap', 'Timeout', 'Timeout', 'Timeout']), 'a timer of the host');
  for (const end of done) end();
});

test.serial(proves('exit-clients', 'a second copy of the package counts in the same place'), async (t) => {
  const file: string = new URL('../../src/delivery/under-way.js?second', import.meta.url).href;
  const copy = (await import(file)) as typeof module;
  t.not(copy.isHeldByUs, isHeldByUs);
  t.is(copy.underWay, underWay);
  // Not at `globalThis`: a test runner gives each file one of its own.
  t.is(Reflect.get(process, Symbol.for('cosmos-telemetry.under-way')), underWay);
});

test.serial('a question to a name server is not listed', (t) => {
  const done = underWay.queries.begin();
  t.true(ended([]));
  t.false(ended(['ConnectWrap']), 'a connect of the host');
  done();
  done();
  t.false(ended([]));
});

test.serial('a tunnel is a connect, then a socket', (t) => {
  const done = underWay.tunnels.begin();
  t.true(ended(['ConnectWrap']));
  t.true(ended(['TCPSocketWrap']));
  t.true(ended(['TLSWrap']));
  t.false(ended(['TCPSocketWrap', 'TCPSocketWrap']));
  done();
});

test.serial('a runtime that does not tell has not ended', (t) => {
  const done = underWay.connects.begin();
  t.false(isHeldByUs({}));
  t.true(isHeldByUs({ getActiveResourcesInfo: () => ['Timeout', 'ConnectWrap'] }));
  t.false(isHeldByUs({ getActiveResourcesInfo: () => [] }), 'it lists nothing at all');
  done();
});

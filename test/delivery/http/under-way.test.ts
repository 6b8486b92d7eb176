import test from 'ava';
import { hostHasEnded, underWay } from '../../../src/delivery/http/under-way.js';

const STDOUT = { fd: 1, _isStdio: true };
const STDERR = { fd: 2, _isStdio: true };

/** What Node tells of a process, and whether it has ended but for what of ours is under way. */
function ended(resources: readonly string[], handles: readonly object[] = []): boolean {
  return hostHasEnded({ getActiveResourcesInfo: () => [...resources], _getActiveHandles: () => [...handles] });
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

test.serial('standard output and error keep nothing alive, other pipes and terminals do', (t) => {
  const done = underWay.connects.begin();
  t.true(ended(['ConnectWrap', 'PipeWrap', 'PipeWrap'], [STDOUT, STDERR]));
  t.true(ended(['ConnectWrap', 'TTYWrap', 'PipeWrap'], [STDOUT, STDERR]));
  t.false(ended(['ConnectWrap', 'PipeWrap'], []), 'the channel to a parent process');
  t.false(ended(['ConnectWrap', 'PipeWrap', 'PipeWrap'], [STDOUT]), 'and beside standard output');
  t.false(ended(['ConnectWrap', 'TTYWrap'], [{ fd: 0, _isStdio: true }]), 'standard input');
  t.false(ended(['ConnectWrap', 'PipeWrap'], [{ fd: 1 }]), 'a pipe that the host opened itself');
  done();
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
  t.false(hostHasEnded({}));
  t.true(hostHasEnded({ getActiveResourcesInfo: () => ['ConnectWrap'] }));
  done();
});

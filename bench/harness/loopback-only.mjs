// Preloaded into every measured process: refuses connections that leave the machine.
import { Socket } from 'node:net';

// oxlint-disable-next-line typescript/unbound-method -- called with the socket below
const { connect } = Socket.prototype;

Socket.prototype.connect = function connectToLoopback(...args) {
  const [first, second] = Array.isArray(args[0]) ? args[0] : args;
  const host = typeof first === 'object' ? (first.host ?? 'localhost') : typeof second === 'string' ? second : 'localhost';
  const isLocal = first?.path !== undefined || host === 'localhost' || host === '::1' || host.startsWith('127.');
  if (!isLocal) throw new Error(`The benchmarks allow only this machine: no connection to ${host}`);
  return connect.apply(this, args);
};

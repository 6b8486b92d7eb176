// A name server of the lab, over UDP and TCP (RFC 1035).
import { createSocket } from 'node:dgram';
import { createServer, isIP } from 'node:net';

const TYPES = { 1: 'A', 28: 'AAAA' };
const NO_ERROR = 0;
const CODES = { SERVFAIL: 2, NXDOMAIN: 3, REFUSED: 5 };

function readQuestion(query) {
  const labels = [];
  let at = 12;
  for (let length = query[at]; length > 0; length = query[at]) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length).toLowerCase());
    at += 1 + length;
  }
  return { name: labels.join('.'), type: TYPES[query.readUInt16BE(at + 1)] ?? 'other', end: at + 5 };
}

function groups(part) {
  return part.split(':').filter(Boolean);
}

function addressBytes(address) {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head, tail = ''] = address.split('::');
  const zeros = Array(8 - groups(head).length - groups(tail).length).fill('0');
  return Buffer.from([...groups(head), ...zeros, ...groups(tail)].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function reply(query, end, code, type, addresses, isTruncated) {
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | code | (isTruncated ? 0x0200 : 0), 2);
  header.writeUInt16BE(isTruncated ? 0 : addresses.length, 6);
  header.writeUInt16BE(0, 8);
  header.writeUInt16BE(0, 10);
  if (isTruncated) return Buffer.concat([header, query.subarray(12, end)]);
  const records = addresses.map((address) => {
    const data = addressBytes(address);
    return Buffer.concat([Buffer.from([0xc0, 0x0c, 0, type === 'A' ? 1 : 28, 0, 1, 0, 0, 0, 60, 0, data.length]), data]);
  });
  return Buffer.concat([header, query.subarray(12, end), ...records]);
}

/**
 * Answers from `options.records`: for each name `{ A: [...], AAAA: [...] }`, or `SERVFAIL`, `REFUSED` or `silent`; other names do not
 * exist (NXDOMAIN). `options.everything` is said of every name. `delayMs` delays each answer, `silent` withholds all, `dropFirst` N
 * withholds those to the first N packets, and `truncate` makes clients ask again over TCP.
 */
export async function startDns(options, counts) {
  let left = options.dropFirst ?? 0;
  const answer = (query, overTcp, send) => {
    const { name, type, end } = readQuestion(query);
    counts.questions.push(`${type} ${name}`);
    const isDropped = left > 0;
    left -= isDropped ? 1 : 0;
    const record = options.everything ?? options.records?.[name] ?? 'NXDOMAIN';
    if (isDropped || options.silent === true || record === 'silent') return;
    const addresses = typeof record === 'string' ? [] : (record[type] ?? []);
    const code = typeof record === 'string' ? CODES[record] : NO_ERROR;
    const bytes = reply(query, end, code, type, addresses, options.truncate === true && !overTcp);
    if (options.delayMs > 0) setTimeout(() => send(bytes), options.delayMs);
    else send(bytes);
  };
  const udp = createSocket(isIP(options.address) === 6 ? 'udp6' : 'udp4');
  udp.on('message', (query, peer) => answer(query, false, (bytes) => udp.send(bytes, peer.port, peer.address)));
  await new Promise((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(options.port ?? 53, options.address, resolve);
  });
  const tcp = createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const length = received.readUInt16BE(0);
        const query = received.subarray(2, 2 + length);
        received = received.subarray(2 + length);
        answer(query, true, (bytes) => socket.write(Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])));
      }
    });
  });
  await new Promise((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(options.port ?? 53, options.address, resolve);
  });
}

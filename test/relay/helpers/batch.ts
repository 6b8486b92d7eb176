import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Answer } from './relay-rig.js';

/** Where batches go. */
export const BATCHES = '/astronomer-cosmos/v3/events';

/** A UUIDv7 of a time. */
export function newId(timeMs = Date.UTC(2026, 10, 28, 22, 30)): string {
  const time = timeMs.toString(16).padStart(12, '0');
  const rest = randomBytes(9).toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6)}`;
}

/** A line as this package writes it. */
export function lineOf(fields: Record<string, unknown> = { status: 'success', task_count: 3 }, id = newId(), event = 'dag_run'): string {
  return JSON.stringify({ id, time: '2026-11-28T22:30:00.000Z', event, ...fields });
}

/** Lines as the body of a batch. */
export function bodyOf(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\n`).join(''));
}

interface PostOptions {
  path?: string;
  gzip?: boolean;
  method?: string;
  headers?: Record<string, string>;
}

/** One POST of a batch over a new connection. */
export function post(port: number, body: Buffer | readonly string[], options: PostOptions = {}): Promise<Answer> {
  const { path = BATCHES, gzip = false, method = 'POST', headers } = options;
  const plain = Buffer.isBuffer(body) ? body : bodyOf(body);
  const bytes = gzip ? gzipSync(plain) : plain;
  const own = {
    'content-type': 'application/x-ndjson',
    'content-length': String(bytes.length),
    ...(gzip && { 'content-encoding': 'gzip' }),
  };
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, headers: { ...own, ...headers }, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(bytes);
  });
}

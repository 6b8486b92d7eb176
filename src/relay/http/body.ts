/** The body of a batch: within bounds of size, also after it was inflated, and of all bodies together. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { gunzip } from 'node:zlib';
import { bare, bareStreamOptions } from '../../base/foreign-values.js';
import type { AnswerName } from './answers.js';

/** The largest body of a batch, in bytes: as it is sent, and after it was inflated. */
export const MAX_BATCH_BYTES = 1_048_576;

/** The most bytes of all bodies that are read or stored at a time. Beyond it a batch is refused with 503. */
export const MAX_BODIES_BYTES = 32 * MAX_BATCH_BYTES;

/** The room that all bodies share. */
export class BodyRoom {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes = MAX_BODIES_BYTES) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @returns False if there is no room: nothing is taken. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  free(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** A body, and the room that it takes until `free` is called; or why there is none. `gone`: the client ended the connection. */
export type Body = { readonly text: string; readonly free: () => void } | AnswerName | 'gone';

const MEDIA_TYPE = /^application\/(?:x-)?(?:ndjson|jsonlines|jsonl)[ \t]*(?:;|$)/i;

/**
 * Why a body cannot be read, by the headers alone; undefined if it can.
 *
 * No page can send this media type to another origin without asking first (Fetch, 2.2.2), and the answer to the question is 405.
 */
export function bodyRefusal({ headers }: IncomingMessage): AnswerName | undefined {
  const { 'content-type': mediaType = '', 'content-encoding': coding = '', 'content-length': length = '0' } = bare(headers);
  if (!MEDIA_TYPE.test(mediaType)) return 'not_ndjson';
  if (coding !== '' && !/^(?:gzip|identity)$/i.test(coding)) return 'not_ndjson';
  return Number(length) > MAX_BATCH_BYTES ? 'batch_too_large' : undefined;
}

/** Reads a body. Never rejects, and always settles: at the latest when the connection ends, which the server sees to. */
export async function readBody(request: IncomingMessage, room: BodyRoom): Promise<Body> {
  const received = await receive(request, room);
  if (typeof received === 'string') return received;
  const isGzip = /^gzip$/i.test(bare(request.headers)['content-encoding'] ?? '');
  return isGzip ? inflate(received, room) : asText(received, room);
}

function receive(request: IncomingMessage, room: BodyRoom): Promise<Buffer | AnswerName | 'gone'> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    let isOver = false;
    const end = (found: Buffer | AnswerName | 'gone'): void => {
      if (isOver) return;
      isOver = true;
      if (typeof found === 'string') {
        room.free(bytes);
        chunks.length = 0;
      }
      resolve(found);
    };
    request.on('data', (chunk: Buffer) => {
      if (isOver) return;
      if (bytes + chunk.length > MAX_BATCH_BYTES) return end('batch_too_large');
      if (!room.take(chunk.length)) return end('busy');
      bytes += chunk.length;
      chunks.push(chunk);
    });
    request.on('end', () => end(Buffer.concat(chunks)));
    request.on('error', () => end('gone'));
    request.on('close', () => end('gone'));
  });
}

const GUNZIP = bareStreamOptions({ maxOutputLength: MAX_BATCH_BYTES, info: true });

/** What `gunzip` gives with `info`: its types do not have it. */
interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

async function inflate(packed: Buffer, room: BodyRoom): Promise<Body> {
  // Until its size is known.
  const hasRoom = room.take(MAX_BATCH_BYTES);
  const found = hasRoom ? await gunzipAll(packed) : 'busy';
  if (hasRoom) room.free(MAX_BATCH_BYTES);
  room.free(packed.length);
  if (typeof found === 'string') return found;
  // Nobody took it meanwhile: this is one step.
  return room.take(found.length) ? asText(found, room) : 'busy';
}

function gunzipAll(packed: Buffer): Promise<Buffer | AnswerName> {
  return new Promise((resolve) => {
    gunzip(packed, GUNZIP, (error, result) => {
      if (error !== null)
        return resolve((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE' ? 'batch_too_large' : 'malformed');
      const { buffer, engine } = result as unknown as Inflated;
      // Node ignores bytes after the last member. They may be the rest of a batch.
      resolve(engine.bytesWritten === packed.length ? buffer : 'malformed');
    });
  });
}

function asText(bytes: Buffer, room: BodyRoom): Body {
  if (isUtf8(bytes)) return { text: bytes.toString('utf8'), free: () => room.free(bytes.length) };
  room.free(bytes.length);
  return 'malformed';
}

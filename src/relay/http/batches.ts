/**
 * `POST /v3/events`: a batch of events as NDJSON. Each line is stored or refused by itself, and the answer names the ids of those that are
 * refused, so that a sender repeats no others.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Gate } from '../../opt-out/gate.js';
import type { Stored } from '../../delivery/relay-store.js';
import type { RelayCore } from '../core.js';
import { admitLine } from '../event-lines.js';
import type { AdmittedLine } from '../event-lines.js';
import type { TargetOptions } from '../request-target.js';
import { ANSWER_TO_STORED } from './answers.js';
import type { AnswerName, Answers, EventError } from './answers.js';
import { BodyRoom, bodyRefusal, readBody } from './body.js';

/** What a receiver of batches needs. */
interface BatchReceiverOptions {
  readonly targetOptions: TargetOptions;
  readonly gate: Pick<Gate, 'accepts'>;
  readonly core: Pick<RelayCore, 'isClosing' | 'acceptLine' | 'refuse'>;
  readonly answers: Answers;
  readonly rateLimit: { take(): boolean };
  readonly storing: Storing;
  /** @default 32 MiB */
  readonly room?: BodyRoom;
}

/** So many lines are read before other requests have their turn: a hook of Cosmos waits for its answer. */
const LINES_AT_ONCE = 64;

/** So many lines without an id are named at most: a body of a kilobyte would have an answer of 16 MB otherwise. */
const MAX_NAMED_LINES = 100;

/** Reasons of lines that are refused for now: a sender may repeat them. */
const RATE_LIMITED = { status: 429, reason: 'rate_limited' } as const;
const FULL = { status: 503, reason: 'spool_full' } as const;
const UNAVAILABLE = { status: 503, reason: 'spool_unavailable' } as const;

type ReadLine = Extract<AdmittedLine, { line: string }>;

/** Counts what is being stored. */
export class Storing {
  #count = 0;
  #onQuiet: (() => void) | undefined;

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#onQuiet?.();
  }

  /** Fulfils once nothing is being stored. */
  quiet(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#count === 0) resolve();
      else this.#onQuiet = resolve;
    });
  }
}

/** Answers requests with a batch. */
export class BatchReceiver {
  readonly #options: BatchReceiverOptions;
  readonly #room: BodyRoom;

  constructor(options: BatchReceiverOptions) {
    this.#options = options;
    this.#room = options.room ?? new BodyRoom();
  }

  /** Never throws and never rejects. */
  async receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { answers } = this.#options;
    const refusal = bodyRefusal(request) ?? this.#refusal();
    if (refusal !== undefined) return answers.send(response, refusal);
    const body = await readBody(request, this.#room);
    if (body === 'gone') return;
    if (typeof body === 'string') return answers.send(response, body);
    try {
      await this.#take(body.text, response);
    } finally {
      body.free();
    }
  }

  /** Why no batch is taken now. */
  #refusal(): AnswerName | undefined {
    const { core, gate } = this.#options;
    if (core.isClosing) return 'closing';
    return gate.accepts() ? undefined : 'opted_out';
  }

  async #take(text: string, response: ServerResponse): Promise<void> {
    const { answers, storing } = this.#options;
    const { lines, errors, isMalformed } = await this.#read(text);
    // Without an id the sender cannot be told which event is meant, and what else is wrong with such a batch is not known.
    if (isMalformed) {
      this.#count(errors);
      return answers.sendErrors(response, 400, errors);
    }
    const refusal = this.#refusal();
    if (refusal !== undefined) return answers.send(response, refusal);
    storing.begin();
    try {
      await this.#store(lines, errors, response);
    } finally {
      storing.end();
    }
  }

  async #read(text: string): Promise<{ lines: ReadLine[]; errors: EventError[]; isMalformed: boolean }> {
    const lines: ReadLine[] = [];
    const errors: EventError[] = [];
    const broken: EventError[] = [];
    let number = 0;
    for (let start = 0; start < text.length; ) {
      const newline = text.indexOf('\n', start);
      const end = newline === -1 ? text.length : newline;
      const line = text.slice(start, end);
      start = end + 1;
      number += 1;
      if (line === '' || line === '\r') continue;
      const admitted = admitLine(line, this.#options.targetOptions);
      if ('line' in admitted) lines.push(admitted);
      else if (admitted.id !== undefined) errors.push({ id: admitted.id, status: admitted.status, reason: admitted.reason });
      else if (broken.push({ line: number, status: 400, reason: admitted.reason }) === MAX_NAMED_LINES) break;
      if (number % LINES_AT_ONCE === 0) await nextTurn();
    }
    return broken.length > 0 ? { lines: [], errors: broken, isMalformed: true } : { lines, errors, isMalformed: false };
  }

  async #store(lines: readonly ReadLine[], errors: EventError[], response: ServerResponse): Promise<void> {
    const { answers, core, gate, rateLimit } = this.#options;
    // Where the event is that is kept worst.
    let kept: Exclude<Stored, 'full'> = 'disk';
    await Promise.all(
      lines.map(async (line) => {
        const stored = rateLimit.take() ? await core.acceptLine(line) : 'rate_limited';
        if (stored === undefined || stored === 'full' || stored === 'rate_limited') errors.push({ id: line.id, ...refusalOf(stored) });
        else if (kept !== 'memory' && stored !== 'disk') kept = stored;
      }),
    );
    // An opt-out that appeared meanwhile has cleared the store.
    if (!gate.accepts()) return answers.send(response, 'opted_out');
    this.#count(errors);
    const nothing = errors.length > 0 && errors.length === lines.length ? commonReason(errors) : undefined;
    if (nothing !== undefined) answers.send(response, nothing);
    else if (errors.length > 0) answers.sendErrors(response, 207, eachOnce(errors));
    else answers.send(response, ANSWER_TO_STORED[kept]);
  }

  #count(errors: readonly EventError[]): void {
    for (const { reason } of errors) this.#options.core.refuse(reason);
  }
}

/** A body of a kilobyte may have one event ten thousand times. */
function eachOnce(errors: readonly EventError[]): EventError[] {
  return [...new Map(errors.map((error) => [JSON.stringify(error), error])).values()];
}

function refusalOf(stored: 'full' | 'rate_limited' | undefined): { status: number; reason: string } {
  if (stored === undefined) return UNAVAILABLE;
  return stored === 'full' ? FULL : RATE_LIMITED;
}

/** The answer to a batch none of whose events could be taken, for one reason that passes: the same as to a single event. */
function commonReason(errors: readonly EventError[]): 'rate_limited' | 'spool_full' | 'spool_unavailable' | undefined {
  const reason = errors.at(0)?.reason;
  if (reason !== RATE_LIMITED.reason && reason !== FULL.reason && reason !== UNAVAILABLE.reason) return undefined;
  return errors.every((error) => error.reason === reason) ? reason : undefined;
}

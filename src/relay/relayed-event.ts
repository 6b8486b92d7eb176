/** An event of the store as transports take it. */
import { createHash } from 'node:crypto';
import type { StoredEvent } from '../delivery/relay-store.js';
import type { UsageEvent } from '../delivery/transport.js';
import { readNdjsonLine } from '../wire/ndjson.js';
import type { NdjsonKind, ReadNdjsonEvent } from '../wire/ndjson.js';
import { isLine, lineOfTarget, targetOfLine } from './event-lines.js';
import { DAG_FACTORY_PATH, isOfDagFactory } from './path-forms.js';

const TYPE = /^\/v3\/([a-z0-9_]+)/;

/** What is said of the type of an event whose path holds its values. */
const OLDER_TYPE = 'relayed';

/** It is built already: its target, or its line, is sent as it was stored. What a transport does not ask for is not made. */
export class RelayedEvent implements UsageEvent {
  readonly stored: StoredEvent;
  /** Whether it goes to the endpoint of DAG Factory. */
  readonly isOfDagFactory: boolean;
  #read: ReadNdjsonEvent | undefined;

  constructor(stored: StoredEvent) {
    this.stored = stored;
    this.isOfDagFactory = isOfDagFactory(stored.target);
  }

  get seq(): number {
    return this.stored.seq;
  }

  get id(): string {
    return this.#event.id;
  }

  get timeMs(): number {
    return this.#event.timeMs;
  }

  get type(): string {
    const { target } = this.stored;
    return isLine(target) ? this.#event.type : (TYPE.exec(target)?.[1] ?? OLDER_TYPE);
  }

  get metrics(): ReadNdjsonEvent['metrics'] {
    return this.#event.metrics;
  }

  /** A text is of no kind that a line tells: it is written as it is. */
  kindOf(name: string): Exclude<NdjsonKind, 'text'> | undefined {
    const kind = this.#event.kindOf(name);
    return kind === 'text' ? undefined : kind;
  }

  requestTarget(): string {
    const { target } = this.stored;
    if (isLine(target)) return targetOfLine(target);
    return this.isOfDagFactory ? target.slice(DAG_FACTORY_PATH.length) : target;
  }

  get #event(): ReadNdjsonEvent {
    if (this.#read === undefined) {
      const { target, acceptedAtMs, id = idOfTarget(this.stored) } = this.stored;
      const reading = readNdjsonLine(isLine(target) ? target : lineOfTarget(target, id, acceptedAtMs));
      if ('problem' in reading) throw new Error(`The store has a line that is none: ${reading.problem}.`);
      this.#read = reading.event;
    }
    return this.#read;
  }
}

/**
 * The id of an event that was stored without one, as by a relay that forwarded targets: it is the same in each attempt, and after a
 * restart.
 */
function idOfTarget({ target, acceptedAtMs, seq }: StoredEvent): string {
  return idFrom(acceptedAtMs, `${acceptedAtMs}\n${seq}\n${target}`);
}

/** A UUID that begins with a time, and is the same for the same text. */
export function idFrom(timeMs: number, text: string): string {
  const time = Math.trunc(timeMs).toString(16).padStart(12, '0');
  const rest = createHash('sha256').update(text).digest('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-8${rest.slice(3, 6)}-${rest.slice(6, 18)}`;
}

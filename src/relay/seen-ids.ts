/** The ids of the events that came last: what comes again is known by its id. */
import { randomBytes } from 'node:crypto';
import type { Stored } from '../delivery/relay-store.js';

/** Where an event is that was stored. */
type Place = Exclude<Stored, 'full'>;

/** Ids in one generation. There are two: at least so many of the last ids are known, at most twice as many. */
export const IDS_PER_GENERATION = 131_072;

/** Words of 32 bits in an id. */
const WORDS = 4;

/** Where the event of an id is, by number. */
const PLACES = [undefined, 'disk', 'queue', 'memory'] as const satisfies readonly (Place | undefined)[];
const FREE = 0;

/**
 * A set that forgets the oldest half once it is full. It compares whole ids, so no id is taken for another. Two generations of the default
 * size take 9 MB; nothing is allocated before the first id.
 */
export class SeenIds {
  readonly #capacity: number;
  #current: Generation | undefined;
  #previous: Generation | undefined;

  constructor(capacity = IDS_PER_GENERATION) {
    this.#capacity = capacity;
  }

  /** @param id A UUID in lower case. @returns Where its event was stored; undefined if it is not known. */
  find(id: string): Place | undefined {
    if (this.#current === undefined) return undefined;
    const words = wordsOf(id);
    return this.#current.find(words) ?? this.#previous?.find(words);
  }

  /** Adds an id. */
  add(id: string, place: Place): void {
    const words = wordsOf(id);
    this.#current ??= new Generation(this.#capacity);
    if (this.#current.size >= this.#capacity) {
      const oldest = this.#previous;
      this.#previous = this.#current;
      oldest?.clear();
      this.#current = oldest ?? new Generation(this.#capacity);
    }
    this.#current.add(words, place);
  }
}

type Words = readonly [number, number, number, number];

/** Four numbers of 32 bits from a UUID. */
function wordsOf(id: string): Words {
  const word = (from: number, to: number, rest = ''): number => Number.parseInt(id.slice(from, to) + rest, 16);
  return [word(0, 8), word(9, 13, id.slice(14, 18)), word(19, 23, id.slice(24, 28)), word(28, 36)];
}

/** A hash table with open addressing in typed arrays: as texts in a `Set`, the ids would take several times the memory. */
class Generation {
  size = 0;
  readonly #ids: Uint32Array;
  readonly #places: Uint8Array;
  readonly #mask: number;
  /** Random: a client that chooses its ids cannot make them collide. */
  readonly #factors = new Uint32Array(randomBytes(4 * WORDS).buffer.slice(0, 4 * WORDS)).map((factor) => factor | 1);

  constructor(capacity: number) {
    // At most half of the slots are in use.
    const slots = 2 ** Math.ceil(Math.log2(2 * capacity));
    this.#ids = new Uint32Array(slots * WORDS);
    this.#places = new Uint8Array(slots);
    this.#mask = slots - 1;
  }

  find(words: Words): Place | undefined {
    return PLACES[this.#places[this.#slotOf(words)] ?? FREE];
  }

  add(words: Words, place: Place): void {
    const slot = this.#slotOf(words);
    if (this.#places[slot] === FREE) this.size += 1;
    this.#ids.set(words, slot * WORDS);
    this.#places[slot] = PLACES.indexOf(place);
  }

  clear(): void {
    this.size = 0;
    this.#places.fill(FREE);
  }

  /** The slot of an id, or the free one where it would be. */
  #slotOf(words: Words): number {
    const [a, b, c, d] = this.#factors as unknown as Words;
    const mixed = Math.imul(words[0], a) ^ Math.imul(words[1], b) ^ Math.imul(words[2], c) ^ Math.imul(words[3], d);
    let slot = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) >>> 7;
    for (slot &= this.#mask; this.#places[slot] !== FREE && !this.#isAt(slot, words); slot = (slot + 1) & this.#mask);
    return slot;
  }

  #isAt(slot: number, words: Words): boolean {
    const at = slot * WORDS;
    const ids = this.#ids;
    return ids[at] === words[0] && ids[at + 1] === words[1] && ids[at + 2] === words[2] && ids[at + 3] === words[3];
  }
}

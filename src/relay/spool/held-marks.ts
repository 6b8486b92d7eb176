/** Marks that are not written yet: the last one for each place, so that they take no more room than the events they are about. */
export class HeldMarks {
  readonly #byPath = new Map<string, Map<number, string>>();

  /** Keeps the characters from `slot` on. */
  add(path: string, slot: number, characters: string): void {
    const held = this.#byPath.get(path) ?? new Map<number, string>();
    this.#byPath.set(path, held);
    for (let index = 0; index < characters.length; index += 1) held.set(slot + index, characters.charAt(index));
  }

  /** A file that is not marked any more. */
  forget(path: string): void {
    this.#byPath.delete(path);
  }

  /** Those that stand side by side as one, in as few pieces as that allows. */
  *pieces(): Iterable<{ path: string; slot: number; characters: string }> {
    for (const [path, held] of this.#byPath) {
      let slot = 0;
      let characters = '';
      for (const [next, character] of [...held].sort(([left], [right]) => left - right)) {
        if (characters !== '' && next !== slot + characters.length) {
          yield { path, slot, characters };
          characters = '';
        }
        if (characters === '') slot = next;
        characters += character;
      }
      if (characters !== '') yield { path, slot, characters };
    }
  }
}

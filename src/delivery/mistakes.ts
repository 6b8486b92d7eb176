/*
 * What a program gets wrong about its own events, for its log: each mistake once, by name and never with a value.
 */
import type { Ledger, Loss } from '../base/ledger.js';
import type { Log } from '../base/log.js';
import type { EventDefinition } from '../events/definition.js';
import type { FoundNames } from '../events/mistake-words.js';
import type * as MistakeWords from '../events/mistake-words.js';
import { late } from './late.js';

/** The most lines of a client. A program that makes up names would fill the host's disk. */
const MAX_LINES = 100;

const loadMistakeWords = late<typeof MistakeWords>('mistakeWords', () => import('../events/mistake-words.js'));

/** Loading takes milliseconds, so it begins when the host's code has returned. */
async function loadWords(): Promise<typeof MistakeWords> {
  await Promise.resolve();
  return loadMistakeWords();
}

/**
 * Writes a line at `warn` when a part of an event is lost for the first time. The words are loaded at the first mistake, and the logger
 * runs after the host's code.
 *
 * @returns An observer for a ledger. It never throws.
 */
export function mistakesTo(log: Log, definitions: ReadonlyMap<string, EventDefinition>): (loss: Loss) => void {
  const seen = new Set<string>();
  const told = new Set<string>();
  const tell = async (loss: Loss, key: string): Promise<void> => {
    try {
      const { mistakeWords } = await loadWords();
      const { 0: code, 1: text } = mistakeWords(loss, definitions);
      // Names that are not shown give the same text.
      if (told.size >= MAX_LINES || told.has(text)) return;
      told.add(text);
      log.change(code, text);
    } catch {
      // The words cannot be loaded now: the next such loss is told.
      seen.delete(key);
    }
  };
  return (loss) => {
    if (seen.size >= 2 * MAX_LINES) return;
    const { from, name, why, type = '', of = '' } = loss;
    // The names of metadata are data: what is undeclared there is one mistake.
    const key = `${from} ${of} ${type} ${from === 'metadata' && why === 'undeclared' ? '' : name} ${why}`;
    if (key.length > MAX_KEY || seen.has(key)) return;
    seen.add(key);
    void tell(loss, key);
  };
}

/** Tells the ledger of misspelt names, once the host's code has returned. @returns A function that never throws. */
export function misspeltTo(ledger: Pick<Ledger, 'notice'>): (collect: () => readonly FoundNames[]) => void {
  const tell = async (collect: () => readonly FoundNames[]): Promise<void> => {
    try {
      await Promise.resolve();
      const found = collect();
      if (found.length === 0) return;
      const { noticeMisspelt } = await loadMistakeWords();
      noticeMisspelt(found, ledger);
    } catch {
      // The words cannot be loaded now: a later payload is told.
    }
  };
  return (collect) => void tell(collect);
}

/** A longer key holds a name that no code has, and would hold memory. */
const MAX_KEY = 512;

// The age of events: by monotonic time within a boot of the machine, by the wall clock across boots, and only where that can be trusted.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Clock } from '../../base/clock.js';
import { optionalFact } from '../../base/machine.js';

/** What the machine says of its boot. */
export interface Boot {
  /** Differs for each boot; undefined if the system does not tell. */
  readonly id: string | undefined;
  /** Milliseconds since it began, including those in which the machine was suspended. */
  readonly uptimeMs: number;
}

/** A moment on both clocks. */
export interface Stamp {
  readonly boot: string;
  /** Milliseconds since the boot began; negative for what happened before. */
  readonly upMs: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** The boot of lines of 0.1.0, which have the wall clock alone: it is their `upMs`, too. */
export const NO_BOOT = '';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';
const TIME_OFFSETS = '/proc/self/timens_offsets';

/** The boot of this machine; undefined where the uptime follows the wall clock or leaves out suspended time, as outside of Linux. */
export function machineBoot(read = (path: string) => readFileSync(path, 'latin1'), platform = process.platform): Boot | undefined {
  if (platform !== 'linux') return undefined;
  // Eight digits of the id tell two boots apart. A sandbox may hide it.
  const id = optionalFact(() => /^[0-9a-f]{8}(?=-)/.exec(read(BOOT_ID))?.[0], undefined);
  // A container with a time namespace has another uptime than the machine, and the same id.
  const offset = optionalFact(() => /^boottime\s+(-?\d+)/m.exec(read(TIME_OFFSETS))?.[1], undefined);
  const uptimeSeconds = optionalFact(uptime, undefined);
  return uptimeSeconds === undefined ? undefined : { id, uptimeMs: (uptimeSeconds - Number(offset ?? 0)) * 1000 };
}

/** A wall clock that moves by so much against the monotonic one was set, or the machine was suspended. */
const JUMP_MS = 1000;

/** Milliseconds since the boot. Suspended time counts, although the monotonic clock of Linux stands still in it. */
export class AgeClock {
  readonly #clock: Pick<Clock, 'now' | 'wallNow'>;
  readonly #readBoot: () => Boot | undefined;
  #boot: string;
  #offsetMs = 0;
  /** How far the wall clock was ahead of the monotonic one when `#offsetMs` was checked last. */
  #wallLeadMs: number;
  #hasJumped = false;

  /** Where the machine does not tell its boot, each clock counts as a boot of its own. */
  constructor(clock: Pick<Clock, 'now' | 'wallNow'>, readBoot: () => Boot | undefined = () => undefined) {
    this.#clock = clock;
    this.#readBoot = readBoot;
    const boot = readBoot();
    this.#boot = boot?.id ?? randomBoot();
    const nowMs = clock.now();
    if (boot !== undefined) this.#offsetMs = boot.uptimeMs - nowMs;
    this.#wallLeadMs = clock.wallNow() - nowMs;
  }

  /** The id of the boot. */
  get boot(): string {
    return this.#boot;
  }

  now(): number {
    const nowMs = this.#clock.now();
    const wallLeadMs = this.#clock.wallNow() - nowMs;
    if (Math.abs(wallLeadMs - this.#wallLeadMs) >= JUMP_MS) {
      this.#wallLeadMs = wallLeadMs;
      this.#hasJumped = true;
      this.#countSuspension(nowMs);
    }
    return nowMs + this.#offsetMs;
  }

  stamp(): Stamp {
    return { boot: this.#boot, upMs: Math.trunc(this.now()), atMs: Math.max(0, Math.trunc(this.#clock.wallNow())) };
  }

  /** Whether the wall clock was set, or the machine suspended, since the last call. */
  takeJump(): boolean {
    const hasJumped = this.#hasJumped;
    this.#hasJumped = false;
    return hasJumped;
  }

  /** The id of the boot stands for another time as well, as after a return to a snapshot: from now on this process counts as a boot. */
  leaveBoot(): void {
    this.#boot = randomBoot();
  }

  #countSuspension(nowMs: number): void {
    const boot = this.#readBoot();
    if (boot !== undefined) this.#offsetMs = Math.max(this.#offsetMs, boot.uptimeMs - nowMs);
  }
}

/** Age of the oldest event of a store, in milliseconds; undefined if it has none. */
export function ageOf({ oldestSinceMs }: { readonly oldestSinceMs: number }, ages: Pick<AgeClock, 'now'>): number | undefined {
  return oldestSinceMs === Infinity ? undefined : Math.max(0, ages.now() - oldestSinceMs);
}

function randomBoot(): string {
  return randomBytes(4).toString('hex');
}

/** How the times of a boot are told in the current one. */
export interface Shift {
  /** Added to `upMs`. */
  readonly byMs: number;
  /** When the age of its events started anew, in the current boot. */
  readonly renewedAtMs: number | undefined;
}

/** The last stamp of a process, and how it told the times of earlier boots. */
export interface SavedAges {
  readonly last: Stamp;
  readonly earlier: ReadonlyMap<string, Shift>;
}

/** The wall clock may be so far ahead of the newest stamp and still count: about the longest time for which a relay is off. */
const MAX_GAP_MS = 7 * 24 * 3_600_000;

/** How often the last stamp is saved while events wait, at least. */
const SAVE_EVERY_MS = 60_000;

/** How soon it is saved first, and the shortest time from a stamp to the next boot: a clock that stands still would add nothing. */
const SHORTEST_MS = 1000;

/**
 * Whether the last stamp is to be saved again: a second after the start, after two, four and so on, then each minute. So a process that
 * ends soon has saved half of its time.
 */
export function isSaveDue({ nowMs, openedAtMs, savedAtMs }: { nowMs: number; openedAtMs: number; savedAtMs: number }): boolean {
  return nowMs - savedAtMs >= Math.min(SAVE_EVERY_MS, Math.max(SHORTEST_MS, savedAtMs - openedAtMs));
}

/** At most this much running time is not in the last stamp: one interval, and what a power failure takes from the page cache. */
const UNSAVED_MS = SAVE_EVERY_MS + 60_000;

/** Rounding, and clocks that are read one after the other. */
const TOLERANCE_MS = 1000;

const UNCHANGED: Shift = { byMs: 0, renewedAtMs: undefined };

/** What `continueAges` needs. */
interface Ages {
  readonly clock: AgeClock;
  /** What an earlier process saved. */
  readonly saved: SavedAges | undefined;
  /** The newest event of each boot. */
  readonly newest: ReadonlyMap<string, Stamp>;
  /** The oldest event of `NO_BOOT`. */
  readonly oldestAtMs: number;
  readonly maxAgeMs: number;
}

/** What `continueAges` finds. */
interface ContinuedAges {
  readonly shifts: ReadonlyMap<string, Shift>;
  /** Boots whose events start their age anew now. */
  readonly renewed: ReadonlySet<string>;
}

/**
 * Tells the times of all boots in the current one.
 *
 * Between two boots only the wall clock goes on. It counts if it is not behind the last stamp, nor more than `MAX_GAP_MS` ahead of it. Else
 * the time in between is unknown, and the age of the events starts anew: once, so that no event lives for ever on a machine whose clock is
 * wrong at each boot. After that their age goes on, with `UNSAVED_MS` for what was not saved.
 */
export function continueAges({ clock, saved, newest, oldestAtMs, maxAgeMs }: Ages): ContinuedAges {
  if (isReused(clock.stamp(), saved, newest)) clock.leaveBoot();
  const now = clock.stamp();
  const shifts = new Map<string, Shift>();
  const renewed = new Set<string>();
  for (const [boot, last] of newest) {
    const shift = boot === now.boot ? UNCHANGED : (savedShift(boot, now, saved) ?? shiftBetween(UNCHANGED, last, now));
    // The wall clock is behind an event that came after the last stamp, or a version that saves no stamp has written since.
    const isWrong = last.upMs + shift.byMs > now.upMs + TOLERANCE_MS;
    // 0.1.0 kept no event for so long: the wall clock was set while it ran.
    const isScattered = boot === NO_BOOT && shift.renewedAtMs === undefined && last.atMs - oldestAtMs > maxAgeMs + MAX_GAP_MS;
    const isAnew = isWrong || isScattered;
    if (isAnew || (shift.renewedAtMs !== undefined && saved?.earlier.get(boot)?.renewedAtMs === undefined)) renewed.add(boot);
    shifts.set(boot, isAnew ? { byMs: now.upMs - last.upMs, renewedAtMs: now.upMs } : shift);
  }
  return { shifts, renewed };
}

/** Whether the id of the current boot stands for another time as well. */
function isReused(now: Stamp, saved: SavedAges | undefined, newest: ReadonlyMap<string, Stamp>): boolean {
  const limitMs = now.upMs + TOLERANCE_MS;
  const isAhead = (stamp: Stamp | undefined): boolean => stamp?.boot === now.boot && stamp.upMs > limitMs;
  return isAhead(newest.get(now.boot)) || isAhead(saved?.last) || saved?.earlier.has(now.boot) === true;
}

/** By what an earlier process saved; undefined for a boot that it did not know. */
function savedShift(boot: string, now: Stamp, saved: SavedAges | undefined): Shift | undefined {
  if (saved === undefined) return undefined;
  const shift = boot === saved.last.boot ? UNCHANGED : saved.earlier.get(boot);
  return shift === undefined || saved.last.boot === now.boot ? shift : shiftBetween(shift, saved.last, now);
}

/** Passes a shift on from the boot of `last` to that of `now`. */
function shiftBetween({ byMs, renewedAtMs }: Shift, last: Stamp, now: Stamp): Shift {
  const gapMs = now.atMs - last.atMs;
  const isKnown = gapMs >= 0 && gapMs <= MAX_GAP_MS;
  if (!isKnown && renewedAtMs === undefined) return { byMs: byMs + now.upMs - last.upMs, renewedAtMs: now.upMs };
  const moreMs = now.upMs - last.upMs - (isKnown ? Math.max(gapMs, SHORTEST_MS) : UNSAVED_MS);
  return { byMs: byMs + moreMs, renewedAtMs: renewedAtMs === undefined ? undefined : renewedAtMs + moreMs };
}

/** `upMs` of an event in the current boot: the start of its wait. It is not later than now. */
export function shifted(upMs: number, { byMs, renewedAtMs }: Shift, isRenewed: boolean, nowMs: number): number {
  const sinceMs = upMs + byMs;
  return Math.min(nowMs, isRenewed || renewedAtMs === undefined ? sinceMs : Math.max(sinceMs, renewedAtMs));
}

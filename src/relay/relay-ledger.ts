import { Ledger } from '../ledger.js';

/** The accounts of a relay: those of the library, with the reasons of what failed and of what was dropped apart. */
export class RelayLedger extends Ledger {
  readonly failedBy = new Map<string, number>();
  readonly droppedBy = new Map<string, number>();

  override drop(reason: string, events: number): void {
    super.drop(reason, events);
    add(this.droppedBy, reason, events);
  }

  override fail(reason: string, events: number): void {
    super.fail(reason, events);
    add(this.failedBy, reason, events);
  }
}

function add(to: Map<string, number>, reason: string, events: number): void {
  if (events > 0) to.set(reason, (to.get(reason) ?? 0) + events);
}

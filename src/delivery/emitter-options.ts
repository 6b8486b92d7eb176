import type { DispatcherOptions } from './dispatcher.js';

/** How an emitter is made. */
export interface EmitterOptions extends Omit<DispatcherOptions, 'buffer' | 'limit' | 'onSettled'> {
  maxPendingEvents: number;
  concurrency: number;
  drainConcurrency: number;
  /** After this time a `send()` that has not settled loses its slot and its events count as `timeout`. */
  sendCapMs: number;
  drainOnExit: boolean;
  exitDeadlineMs: number;
}

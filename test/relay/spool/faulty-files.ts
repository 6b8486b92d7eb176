import { nodeFiles } from '../../../src/relay/spool/files.js';
import type { SpoolFile, SpoolFiles } from '../../../src/relay/spool/files.js';

/** A call of the file system, or of an open file. */
export type Call = keyof SpoolFiles | `file.${Exclude<keyof SpoolFile, never>}`;

/** Node's file system. A test can count its calls, hold them, or make them fail. */
export class FaultyFiles {
  /** Error codes by call. */
  readonly faults = new Map<Call, string>();
  readonly calls = new Map<Call, number>();
  /** Awaited before a call. */
  readonly before = new Map<Call, () => Promise<void>>();
  /** How many bytes reach the file before a fault of `file.write`. */
  writtenBeforeFault = 0;

  /** How many reads return nothing, as at the end of a file. */
  readsEndEarly = 0;

  /** The number of calls so far. */
  count(call: Call): number {
    return this.calls.get(call) ?? 0;
  }

  /** Makes every call fail that changes the disk. */
  failAll(code: string): void {
    for (const call of CHANGING) this.faults.set(call, code);
  }

  readonly files: SpoolFiles = {
    chmod: (...args) => this.#run('chmod', () => nodeFiles.chmod(...args)),
    link: (...args) => this.#run('link', () => nodeFiles.link(...args)),
    lstat: (...args) => this.#run('lstat', () => nodeFiles.lstat(...args)),
    mkdir: (...args) => this.#run('mkdir', () => nodeFiles.mkdir(...args)),
    open: (...args) => this.#run('open', async () => this.#file(await nodeFiles.open(...args))),
    readdir: (...args) => this.#run('readdir', () => nodeFiles.readdir(...args)),
    rename: (...args) => this.#run('rename', () => nodeFiles.rename(...args)),
    unlink: (...args) => this.#run('unlink', () => nodeFiles.unlink(...args)),
    closeSync: (...args) => this.#runNow('closeSync', () => nodeFiles.closeSync(...args)),
    openSync: (...args) => this.#runNow('openSync', () => nodeFiles.openSync(...args)),
    unlinkSync: (...args) => this.#runNow('unlinkSync', () => nodeFiles.unlinkSync(...args)),
    writeSync: (...args) => this.#runNow('writeSync', () => nodeFiles.writeSync(...args)),
  };

  #file(file: SpoolFile): SpoolFile {
    return {
      chmod: (mode) => this.#run('file.chmod', () => file.chmod(mode)),
      close: async () => {
        await file.close();
        await this.#run('file.close', () => Promise.resolve());
      },
      datasync: () => this.#run('file.datasync', () => file.datasync()),
      read: (...args) =>
        this.#run('file.read', async () => {
          if (this.readsEndEarly === 0) return file.read(...args);
          this.readsEndEarly -= 1;
          return { bytesRead: 0, buffer: args[0] };
        }),
      readFile: () => this.#run('file.readFile', () => file.readFile()),
      stat: () => this.#run('file.stat', () => file.stat()),
      sync: () => this.#run('file.sync', () => file.sync()),
      truncate: (length) => this.#run('file.truncate', () => file.truncate(length)),
      write: async (buffer, offset, length, position) => {
        if (this.faults.has('file.write') && this.writtenBeforeFault > 0)
          await file.write(buffer, offset, this.writtenBeforeFault, position);
        return this.#run('file.write', () => file.write(buffer, offset, length, position));
      },
    };
  }

  async #run<T>(call: Call, work: () => Promise<T>): Promise<T> {
    this.#check(call);
    await this.before.get(call)?.();
    return work();
  }

  /** Holds each call until the test releases it: `letThrough` releases the oldest one, `end` all of them. */
  hold(call: Call): { arrived: () => Promise<void>; letThrough: () => void; end: () => void } {
    const held: (() => void)[] = [];
    this.before.set(call, () => new Promise((resolve) => void held.push(resolve)));
    return {
      arrived: async () => {
        while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
      },
      letThrough: () => held.shift()?.(),
      end: () => {
        this.before.delete(call);
        for (const release of held.splice(0)) release();
      },
    };
  }

  #runNow<T>(call: Call, work: () => T): T {
    this.#check(call);
    return work();
  }

  #check(call: Call): void {
    this.calls.set(call, this.count(call) + 1);
    const code = this.faults.get(call);
    if (code !== undefined) throw Object.assign(new Error(`${code}: a fault of the test, with a secret`), { code });
  }
}

/** The calls that change the disk. */
export const CHANGING: readonly Call[] = [
  'chmod',
  'link',
  'mkdir',
  'open',
  'rename',
  'unlink',
  'openSync',
  'unlinkSync',
  'writeSync',
  'file.chmod',
  'file.datasync',
  'file.sync',
  'file.truncate',
  'file.write',
];

/** The calls of an append that begins a segment. */
export const ON_THE_WAY: readonly Call[] = ['open', 'file.chmod', 'file.write', 'file.sync', 'file.datasync', 'file.stat'];

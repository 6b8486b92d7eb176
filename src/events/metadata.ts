// The codec for the metadata that a DAG carries in its params: JSON, zlib, base64.
import { bareStreamOptions } from '../base/foreign-values.js';
import type { TelemetryMetadataProblem } from '../base/ledger.js';

/**
 * The DAG param that holds the packed metadata of Cosmos.
 *
 * @example
 * console.log(TELEMETRY_METADATA_PARAM); // __cosmos_telemetry_metadata__
 */
export const TELEMETRY_METADATA_PARAM = '__cosmos_telemetry_metadata__';

/** The longest packed text that is read. The packed metadata of Cosmos has about 300 characters. */
export const MAX_PACKED_LENGTH = 16 * 1024;

/** The largest size after unpacking. Without a limit, 16 KiB of packed text could unpack to about 12 MiB. */
const MAX_UNPACKED_BYTES = 64 * 1024;

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/**
 * Metadata that cannot be packed or unpacked. The message holds no content of the metadata.
 *
 * @example
 * try {
 *   decompressTelemetryMetadata('no base64');
 * } catch (error) {
 *   if (error instanceof TelemetryMetadataError) console.log(error.problem); // not_base64
 * }
 */
export class TelemetryMetadataError extends Error {
  /** The name of the class. */
  override readonly name = 'TelemetryMetadataError' as const;
  /** What is wrong with the metadata. */
  readonly problem: TelemetryMetadataProblem;

  constructor(problem: TelemetryMetadataProblem, options?: ErrorOptions) {
    super(`Telemetry metadata is unusable: ${problem}.`, options);
    this.problem = problem;
  }
}

/** The DAG param that holds the metadata of a product. @example `__acme_telemetry_metadata__` for `acme` */
export function metadataParam(product: string): string {
  return `__${product}_telemetry_metadata__`;
}

/**
 * Packs metadata as Cosmos does: JSON, zlib level 9, base64. Python reads the same object from it. The bytes may differ from
 * Python's, whose zlib is a different build.
 *
 * @param metadata An object that has JSON.
 * @throws TelemetryMetadataError for a value that is not an object or has no JSON, or that is larger than
 * {@link decompressTelemetryMetadata} reads.
 * @example
 * const packed = compressTelemetryMetadata({ invocation_mode: 'subprocess' });
 * console.log(decompressTelemetryMetadata(packed)); // { invocation_mode: 'subprocess' }
 */
export function compressTelemetryMetadata(metadata: Record<string, unknown>): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(metadata) as string | undefined;
  } catch (cause) {
    throw new TelemetryMetadataError('not_json', { cause });
  }
  // This tests the text and not the value: its `toJSON` may have returned anything.
  if (json === undefined || !json.startsWith('{')) throw new TelemetryMetadataError('not_object');
  if (Buffer.byteLength(json) > MAX_UNPACKED_BYTES) throw new TelemetryMetadataError('too_large');
  const packed = zlib()
    .deflateSync(json, bareStreamOptions({ level: 9 }))
    .toString('base64');
  if (packed.length > MAX_PACKED_LENGTH) throw new TelemetryMetadataError('too_large');
  return packed;
}

/**
 * Unpacks metadata that Cosmos or {@link compressTelemetryMetadata} packed.
 *
 * @param packed The text that was packed.
 * @throws TelemetryMetadataError for any other text, and for more than 16 KiB packed or 64 KiB unpacked.
 * @example
 * const packed = compressTelemetryMetadata({ total_dbt_models: 7 });
 * console.log(decompressTelemetryMetadata(packed)['total_dbt_models']); // 7
 */
export function decompressTelemetryMetadata(packed: string): Record<string, unknown> {
  if (typeof packed !== 'string') throw new TelemetryMetadataError('not_base64');
  if (packed.length > MAX_PACKED_LENGTH) throw new TelemetryMetadataError('too_large');
  if (packed.length % 4 !== 0 || !BASE64.test(packed)) throw new TelemetryMetadataError('not_base64');
  const value = parseJson(inflate(Buffer.from(packed, 'base64')));
  if (!isRecord(value)) throw new TelemetryMetadataError('not_object');
  return value;
}

function inflate(bytes: Buffer): Buffer {
  try {
    return zlib().inflateSync(bytes, bareStreamOptions({ maxOutputLength: MAX_UNPACKED_BYTES }));
  } catch (cause) {
    const tooLarge = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    throw new TelemetryMetadataError(tooLarge ? 'too_large' : 'not_zlib', { cause });
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    // Not the global class: Jest's environment `jsdom` has none.
    const { TextDecoder } = process.getBuiltinModule('node:util');
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TelemetryMetadataError('not_json', { cause });
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Loaded at the first use: most hosts that load the package never pack or unpack metadata in that process. */
function zlib() {
  return process.getBuiltinModule('node:zlib');
}

import { EventEmitter } from 'node:events';
import { EventBus } from '../bus.js';
import { EventBuilder } from '../delivery/event-builder.js';
import type { TakenEvent } from '../delivery/event-buffer.js';
import { productDagHash } from '../events/dag-hash.js';
import { metadataFields } from '../events/dag-run.js';
import type { Fields } from '../events/definition.js';
import type { Field, UsageMetrics } from '../events/fields.js';
import { collectStandardUsageMetrics, standardFields } from '../events/standard-metrics.js';
import { Gate } from '../gate.js';
import { Ledger } from '../ledger.js';
import type { Loss } from '../ledger.js';
import { hostListeners } from '../listeners/host-listeners.js';
import { ListenerRegistry } from '../listeners/register.js';
import { Log } from '../log.js';
import { systemClock } from '../timing.js';
import { isTooLong, requestUrl } from '../wire/request-url.js';
import type { PreviewItem } from './preview-document.js';
import type { Program } from './program.js';

/** One field as it would leave, read back from the request itself. */
export interface PreviewField {
  readonly name: string;
  /** As the server would read it. */
  readonly value: string;
  /** Who says it: every event, this one, or the DAG's metadata. */
  readonly from: 'standard' | 'event' | 'metadata';
  readonly field: Field;
}

/** Why there would be no request. */
export type NotSent = 'not_own' | 'invalid' | 'too_large';

/** What would become of one event. */
export interface Preview {
  readonly item: PreviewItem;
  /** The event type; undefined where nothing would be made of it. */
  readonly type: string | undefined;
  readonly notSent: NotSent | undefined;
  /** The whole URL; the request's target alone where the endpoint is not known. */
  readonly url: string | undefined;
  readonly fields: readonly PreviewField[];
  readonly losses: readonly Loss[];
}

/**
 * What would become of an event, by the listeners, bus and builder that a client has, with nothing behind them. Whether telemetry is
 * on is not asked: who opted out may look, too.
 *
 * @param endpoint From `parseEndpoint`, or nothing.
 */
export function previewOf(item: PreviewItem, program: Program, endpoint: string | undefined): Preview {
  const losses: Loss[] = [];
  const ledger = new Ledger((loss) => losses.push(loss));
  const taken = take(item, program, ledger);
  if (taken === undefined) {
    const isInvalid = ledger.snapshot(0).reasons['invalid'] !== undefined;
    return { item, type: undefined, notSent: isInvalid ? 'invalid' : 'not_own', url: undefined, fields: [], losses };
  }
  const { name, version } = program.product;
  const standard = collectStandardUsageMetrics({ host: program.host, ...(version !== undefined && { product: { name, version } }) });
  const target = new EventBuilder(standard, ledger, '').build(taken).requestTarget();
  const url = requestUrl(endpoint ?? '', target);
  const { type, fields } = taken.definition;
  return { item, type, notSent: isTooLong(url) ? 'too_large' : undefined, url, fields: decode(target, fields, program), losses };
}

function take(item: PreviewItem, program: Program, ledger: Ledger): TakenEvent | undefined {
  const log = new Log(undefined, systemClock);
  const gate = new Gate({ open: true, optedOutNow: () => false, clock: systemClock });
  const bus = new EventBus({ definitions: program.definitions, gate, ledger, log });
  let taken: TakenEvent | undefined;
  bus.attach((metrics: UsageMetrics, packed, definition) => {
    taken = { seq: 0, definition, metrics, packed, built: undefined };
  });
  if (item.kind === 'published') {
    bus.publish(item.event, item.metrics as object, item.packedMetadata);
    return taken;
  }
  const { product, dagHash = productDagHash(product.name) } = program;
  const registry = new ListenerRegistry({ listeners: () => hostListeners(product.name, { bus, ledger, dagHash }), gate, ledger, log });
  const host = new EventEmitter();
  registry.register(host);
  host.emit(item.event, item.payload);
  registry.close();
  return taken;
}

/** The request read back, so that what is shown is what would leave and not what it was made of. */
function decode(target: string, own: Fields, { product, host }: Program): PreviewField[] {
  const sources = [
    ['event', own],
    ['metadata', metadataFields as Fields],
    ['standard', standardFields(product.name, host.name ?? 'airflow')],
  ] as const;
  const query = target.slice(target.indexOf('?') + 1);
  return query.split('&').flatMap((pair) => {
    const [name = '', value = ''] = pair.split('=').map((text) => decodeURIComponent(text.replaceAll('+', ' ')));
    for (const [from, fields] of sources) {
      const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
      if (field !== undefined) return [{ name, value, from, field }];
    }
    return [];
  });
}

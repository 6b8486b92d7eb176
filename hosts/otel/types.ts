// The exporters of OpenTelemetry fit the types of `cosmos-telemetry/otel`, without a cast.
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtobufExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';
import { ConsoleLogRecordExporter, InMemoryLogRecordExporter } from '@opentelemetry/sdk-logs';
import type { LoggerProvider, LogRecordExporter } from '@opentelemetry/sdk-logs';
import { otelTransport } from 'cosmos-telemetry/otel';

declare const any: LogRecordExporter;
declare const provider: LoggerProvider;
const product = { name: 'acme', version: '1.2.0' };
for (const exporter of [
  new OTLPLogExporter(),
  new ProtobufExporter(),
  new GrpcExporter(),
  new ConsoleLogRecordExporter(),
  new InMemoryLogRecordExporter(),
  any,
]) {
  otelTransport({ exporter, product, resource: resourceFromAttributes({ 'service.name': 'scheduler' }).merge(defaultResource()) });
}
// @ts-expect-error -- a provider is no exporter
otelTransport({ exporter: provider, product });

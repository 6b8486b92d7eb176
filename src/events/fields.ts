/** A value that can leave the machine. Nothing nested, nothing else. */
export type MetricValue = string | number | boolean | null;

/** What one event carries, in the order in which it leaves. */
export type UsageMetrics = Record<string, MetricValue>;

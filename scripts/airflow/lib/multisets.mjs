// Comparison of lists as multisets.

/** @returns The items that `one` has more often than `other`, each repeated by the difference. */
export function without(one, other) {
  const left = new Map();
  for (const item of other) left.set(item, (left.get(item) ?? 0) + 1);
  return one.filter((item) => {
    const times = left.get(item) ?? 0;
    left.set(item, times - 1);
    return times <= 0;
  });
}

/** Whether two lists have the same items equally often, in any order. */
export function isSame(one, other) {
  return one.length === other.length && without(one, other).length === 0;
}

/** The median of a list of numbers; NaN of an empty list. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length / 2) - 1)] ?? Number.NaN;
}

// Medians and spreads. A round in which a sample is missing (null) has no part in them.

const isThere = (value) => typeof value === 'number' && Number.isFinite(value);

/** @returns {number | null} The median; null where there is nothing. */
export function median(values) {
  const sorted = values.filter(isThere).toSorted((left, right) => left - right);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median, lowest and highest. @returns {{ median: number, min: number, max: number } | null} */
export function spread(values) {
  const there = values.filter(isThere);
  return there.length === 0 ? null : { median: median(there), min: Math.min(...there), max: Math.max(...there) };
}

/** Ratios within each round: what disturbs a round disturbs both sides of it. A side measured once stands for all rounds. */
export function ratios(values, others) {
  const rounds = Math.max(values.length, others.length);
  return Array.from({ length: rounds }, (_, round) => {
    const [value, other] = [at(values, round), at(others, round)];
    return isThere(value) && isThere(other) && other !== 0 ? value / other : null;
  });
}

const at = (side, round) => (side.length === 1 ? side[0] : side[round]);

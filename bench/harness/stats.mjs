// Medians and spreads. Rounds with a missing sample (null) are left out.

const isThere = (value) => typeof value === 'number' && Number.isFinite(value);

/** @returns {number | null} The median; null without values. */
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

/** Ratios within each round: a disturbance affects both sides. A side that was measured once is used for all rounds. */
export function ratios(values, others) {
  const rounds = Math.max(values.length, others.length);
  return Array.from({ length: rounds }, (_, round) => {
    const [value, other] = [at(values, round), at(others, round)];
    return isThere(value) && isThere(other) && other !== 0 ? value / other : null;
  });
}

const at = (side, round) => (side.length === 1 ? side[0] : side[round]);

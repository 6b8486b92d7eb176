// The checks of the test and their results.

/** Collects checks and prints each result at once. */
export class Checks {
  #made = [];

  /** Adds one result. `detail` is the observed value. */
  add(what, holds, detail = '') {
    this.#made.push({ what, holds });
    console.log(`${holds ? 'ok    ' : 'FAILED'} ${what}${detail === '' ? '' : `: ${detail}`}`);
  }

  get failed() {
    return this.#made.filter(({ holds }) => !holds).map(({ what }) => what);
  }

  get summary() {
    const { length } = this.#made;
    return this.failed.length === 0
      ? `airflow: all ${length} comparisons hold`
      : `airflow: ${this.failed.length} of ${length} comparisons do not hold`;
  }
}

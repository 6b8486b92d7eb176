// What was compared, and whether it holds.

/** Collects comparisons and says each as it is made. */
export class Checks {
  #made = [];

  /** One comparison. `detail` is what was seen. */
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

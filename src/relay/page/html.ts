/** HTML whose inserted texts are escaped, tables, and numbers and times as the page shows them. Pure functions that never throw. */

/** HTML that is safe to send: only `html` makes it. */
export class Html {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

/** What may be inserted. A text is escaped. */
type Inserted = string | number | Html | readonly Html[];

/** No HTML. */
export const NOTHING = new Html('');

/** A template of HTML. What is inserted is text of strangers unless it is `Html`: attributes need quotes around it. */
export function html(template: TemplateStringsArray, ...inserted: readonly Inserted[]): Html {
  let source = template[0] ?? '';
  // Not by `entries()` taken apart as an array: `return` on a polluted `Object.prototype` would throw.
  for (let index = 0; index < inserted.length; index += 1) source += sourceOf(inserted[index] ?? '') + (template[index + 1] ?? '');
  return new Html(source);
}

function sourceOf(inserted: Inserted): string {
  if (inserted instanceof Html) return inserted.source;
  if (typeof inserted === 'object') return inserted.map(({ source }) => source).join('');
  return escapeHtml(String(inserted));
}

const ESCAPED: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);

function escapeHtml(text: string): string {
  return visible(text).replace(/[&<>"']/g, (found) => ESCAPED.get(found) ?? '');
}

/** Characters that show nothing, or that change the order of others: a value could look like another one. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

function visible(text: string): string {
  return text.replace(HIDDEN, (found) => (found === '\n' ? found : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`));
}

/** The head and the body of a table. The first cell of each row names it. */
export function tableOf(heads: readonly string[], rows: readonly (readonly string[])[]): Html {
  const head = heads.map((each) => html`<th scope="col">${each}</th>`);
  const body = rows.map((cells) => {
    const rest = cells.slice(1).map((cell) => html`<td>${cell}</td>`);
    return html`<tr><th scope="row">${cells[0] ?? ''}</th>${rest}</tr>`;
  });
  return html`<thead><tr>${head}</tr></thead><tbody>${body}</tbody>`;
}

/** A whole number with a comma at each thousand. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** A time of day in UTC, with its date if that is not today. @param time ISO 8601 in UTC, as `now`. */
export function timeOf(time: string, now: string): Html {
  const day = time.slice(0, 10);
  const clock = `${time.slice(11, 19)} UTC`;
  return html`<time datetime="${time}">${now.startsWith(day) ? clock : `${day} ${clock}`}</time>`;
}

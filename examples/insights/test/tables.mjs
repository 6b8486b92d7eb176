// Reads the tables of a report back, as a reader sees them.

const ENTITIES = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" };
const textOf = (html) => html.replaceAll(/<[^>]*>/g, '').replaceAll(/&(?:amp|lt|gt|quot|#39);/g, (found) => ENTITIES[found]);

/** The rows of a table as texts, without its head; undefined if there is no such table. */
export function rowsOf(html, id) {
  const [, body] = new RegExp(`<table id="${id}">.*?<tbody>(.*?)</tbody>`, 's').exec(html) ?? [];
  return body?.match(/<tr>.*?<\/tr>/gs)?.map((row) => row.match(/<t[hd][^>]*>.*?<\/t[hd]>/gs).map(textOf));
}

/** The text of the element with an id. */
export function textById(html, id) {
  return textOf(new RegExp(`<(\\w+) id="${id}">(.*?)</\\1>`, 's').exec(html)?.[2] ?? '');
}

/** A number as a report writes it. */
export const plain = (text) => Number(text.replaceAll(',', ''));

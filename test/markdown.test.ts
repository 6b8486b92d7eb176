import test from 'ava';
import { bullets, codeSpan, list, paragraph, prose, table } from '../src/notice/markdown.js';

test('a code span holds whatever is in it, on one line', (t) => {
  t.is(codeSpan('task_count'), '`task_count`');
  t.is(codeSpan('a`b'), '``a`b``');
  t.is(codeSpan('`b'), '`` `b ``');
  t.is(codeSpan('a\n\tb'), '`a b`');
});

test('declared sentences stay prose: one line, no HTML, code as it is', (t) => {
  t.is(prose('  How many\n\n# rows? '), 'How many # rows?');
  t.is(prose('fewer than <b>, as in `a < b`'), 'fewer than \\<b>, as in `a < b`');
});

test('a paragraph ends its lines before the hundredth character, outside of code and links', (t) => {
  const words = Array.from({ length: 40 }, () => 'seven77').join(' ');
  t.deepEqual(
    paragraph(words, '- ', '  ')
      .split('\n')
      .map(({ length }) => length),
    [97, 97, 97, 33],
  );
  const long = `${'x'.repeat(90)} \`a code span\` [some words](#there) end`;
  t.is(paragraph(long), `${'x'.repeat(90)}\n\`a code span\` [some words](#there) end`);
});

test('a line never begins with what would start a list, a heading or a quote', (t) => {
  for (const word of ['-', '+', '*', '#', '1.', '2)', '>', '===', '---']) {
    t.is(paragraph(`${'x'.repeat(99)} ${word} more`), `${'x'.repeat(99)} ${word}\nmore`, word);
  }
  t.is(paragraph(`${'x'.repeat(99)} *Why:* more`), `${'x'.repeat(99)}\n*Why:* more`);
});

test('lists: a sentence an item, or several that keep lines of their own', (t) => {
  t.is(bullets(['one', 'two']), '- one\n- two');
  t.is(list([['one', 'why'], ['two']]), '- one\\\n  why\n- two');
});

test('a pipe or a line break in a cell does not end it', (t) => {
  t.is(
    table(
      ['A', 'B'],
      [
        ['a|b', '`c|d`'],
        ['two\nlines', ''],
      ],
    ),
    '| A | B |\n| --- | --- |\n| a\\|b | `c\\|d` |\n| two lines |  |',
  );
});

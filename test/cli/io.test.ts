import { Writable } from 'node:stream';
import test from 'ava';
import { widthOf, writeTo } from '../../src/cli/terminal.js';
import { columns, wrap } from '../../src/cli/terminal.js';

const write = () => true;

function stream(code?: string) {
  const chunks: string[] = [];
  const writable = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done(code === undefined ? null : Object.assign(new Error('secret'), { code }));
    },
  });
  return { writable, chunks };
}

test('a text is out when it says so, and a listener is left only where the stream is broken', async (t) => {
  const { writable, chunks } = stream();
  t.is(await writeTo(writable, 'text'), undefined);
  t.deepEqual(chunks, ['text']);
  t.is(writable.listenerCount('error'), 0);
  t.is(await writeTo(stream('ENOSPC').writable, 'text'), 'ENOSPC');
  t.is(await writeTo(stream('EPIPE').writable, 'text'), undefined, 'a reader who has gone is no failure');
});

test('a text is as wide as the terminal, within bounds', (t) => {
  t.is(widthOf({ write }), 100);
  t.is(widthOf({ write, isTTY: true, columns: 80 }), 80);
  t.is(widthOf({ write, isTTY: true, columns: 20 }), 60);
  t.is(widthOf({ write, isTTY: true, columns: 300 }), 100);
});

test('the last column is wrapped, and a cell that is too wide has a line to itself', (t) => {
  t.deepEqual(wrap('one two three', 7), ['one two', 'three']);
  t.deepEqual(wrap('incomprehensible word', 7), ['incomprehensible', 'word']);
  t.deepEqual(
    columns(
      [
        ['a', 'one two three'],
        ['abcdef', 'four'],
      ],
      [3],
      13,
      ' ',
    ),
    [' a    one two', '      three', ' abcdef', '      four'],
  );
  t.deepEqual(columns([], [3], 13, ' '), []);
});

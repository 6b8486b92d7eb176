// The rules of the reference, and its contents: a TypeDoc plugin.
import { readFileSync } from 'node:fs';
import { Comment, CommentTag, Converter, ReflectionKind } from 'typedoc';
import { MarkdownPageEvent } from 'typedoc-plugin-markdown';

/** The guide to each section, or to each page without sections: a page of docs/. */
const GUIDES = {
  Client: 'options.md',
  'The consent of a person': 'opt-outs.md',
  'Options, reports, and what the client is given': 'report.md',
  'Hosts and their events': 'hosts.md',
  'Declared events': 'hosts.md#your-own-events',
  'Privacy notice': 'hosts.md#one-description-of-a-product',
  'Settings and opt-outs': 'opt-outs.md',
  "Cosmos' own functions, for direct use": 'hosts.md#one-event-at-once',
  Transports: 'options.md#retries-and-the-breaker',
  'Types of the platform': 'compatibility.md#typescript',
  cli: 'cli.md',
  relay: 'relay.md',
  testing: 'testing.md',
  bullmq: 'hosts.md#bullmq',
  ndjson: 'receiving.md',
};

/** The sections of an entry point, from its comments: the names that it exports below each `// Section.` */
function sectionsOf(file) {
  const sections = new Map();
  let section;
  for (const [, comment, names] of readFileSync(file, 'utf8').matchAll(/^\/\/ (.+)\.$|^export (?:type )?\{([^}]*)\}/gm)) {
    section = comment ?? section;
    if (section !== undefined && names !== undefined) for (const name of names.match(/\w+(?=,|\s*$)/g)) sections.set(name, section);
  }
  return sections;
}

const commentsOf = (reflection) => [reflection.comment, ...(reflection.signatures ?? []).map(({ comment }) => comment)].filter(Boolean);
const textOf = (parts) => parts.map(({ text }) => text).join('');
const moduleOf = (name) => (name === 'index' ? 'cosmos-telemetry' : `cosmos-telemetry/${name}`);

/** Says what the description of an export, or of a method, lacks. */
function lacks(reflection, isExport) {
  const comments = commentsOf(reflection);
  const tags = comments.flatMap(({ blockTags }) => blockTags);
  const description = textOf(comments.flatMap(({ summary }) => summary));
  const words = description + textOf(tags.flatMap(({ content }) => content));
  const parameters = reflection.signatures?.flatMap((signature) => signature.parameters ?? []).length ?? 0;
  const described = tags.filter(({ tag, name }) => tag === '@param' && !name.includes('.')).length;
  const isCalled = reflection.kindOf([ReflectionKind.Function, ReflectionKind.Method]);
  return [
    ...(description.trim() === '' ? ['a description'] : []),
    ...(isExport && !tags.some(({ tag }) => tag === '@example') ? ['an @example'] : []),
    ...(isExport && described < parameters ? ['a @param for each parameter'] : []),
    ...(isCalled && !tags.some(({ tag }) => tag === '@throws') && !/never\s+(?:throw|reject)s?\b/i.test(words)
      ? ['its errors: @throws, or "never throws"']
      : []),
  ];
}

/** Adds to an example the imports of what it uses: in a docstring they would repeat the same line in each one. */
function withImports(code, exports) {
  const used = new Map();
  const text = code.replaceAll(/'[^'\n]*'/g, '').replaceAll(/ \/\/ .*/g, '');
  for (const { name, kind, parent } of exports) {
    const isType = [ReflectionKind.Interface, ReflectionKind.TypeAlias].includes(kind);
    // Some functions have the name of a common word, so a call tells. What follows a dot is a method, unless the dots are three.
    const end = kind === ReflectionKind.Function ? '\\(' : '\\b';
    if (!new RegExp(`(?:^|[^\\w.]|\\.\\.\\.)${name}${end}`, 'm').test(text)) continue;
    used.set(parent.name, [...(used.get(parent.name) ?? []), isType ? `type ${name}` : name]);
  }
  const lines = [...used].map(([module, names]) => {
    const isTypes = names.every((name) => name.startsWith('type '));
    const list = names.map((name) => (isTypes ? name.slice('type '.length) : name)).toSorted();
    return `import ${isTypes ? 'type ' : ''}{ ${list.join(', ')} } from '${moduleOf(module)}';\n`;
  });
  const own = /^(?:import .*\n)*/.exec(code)[0];
  return `${own}${lines.join('')}${own === '' && lines.length === 0 ? '' : '\n'}${code.slice(own.length).trimStart()}`;
}

/** The text of an example is one block of code. */
function addImports(tag, exports) {
  const [, code] = /^```ts\n([^]*?)\n?```$/.exec(textOf(tag.content).trim()) ?? [];
  if (code !== undefined) tag.content = [{ kind: 'code', text: `\`\`\`ts\n${withImports(code, exports)}\n\`\`\`` }];
  return code !== undefined;
}

/** Links to what a page has, by section. */
function contentsOf({ model }, router) {
  const link = (to) => `[${to.name}](#${router.getAnchor(to)})`;
  const groups = model.categories ?? model.groups;
  const lines = groups.map(({ title, children }) => `- [${title}](#${slugOf(title)}): ${children.map(link).join(', ')}`);
  return `${lines.join('\n')}\n`;
}

/** The anchor that GitHub gives to a heading. */
const slugOf = (heading) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

function guideTo(name) {
  const page = GUIDES[name];
  if (page === undefined) throw new Error(`plugin.mjs names no guide to ${name}`);
  const [, title] = /^# (.+)$/m.exec(readFileSync(new URL(`../docs/${page.split('#')[0]}`, import.meta.url), 'utf8'));
  return `Guide: [${title}](../${page})`;
}

const GENERATED = '<!-- Generated by `npm run docs` from the docstrings in src/. Change those, and not this file. -->';

/** Adds to a page the contents and the links to guides. */
function finish(page, router) {
  const [title, ...rest] = page.contents.split('\n');
  const { model } = page;
  if (model.isProject()) {
    const rows = model.children.map(({ name, children }) => {
      const functions = children.filter(({ kind }) => kind === ReflectionKind.Function).map((each) => `\`${each.name}\``);
      return `| [${moduleOf(name)}](${name}.md) | ${functions.join(', ')} | ${children.length} |`;
    });
    return [title, GENERATED, '', '| Entry point | Functions | Exports |', '| --- | --- | --- |', ...rows, ''].join('\n');
  }
  const guide = model.categories === undefined ? [guideTo(model.name), ''] : [];
  const body = rest
    .join('\n')
    .replaceAll(/^## (.+)$/gm, (heading, name) => (model.categories ? `${heading}\n\n${guideTo(name)}` : heading));
  return [title, GENERATED, '', ...guide, contentsOf(page, router), body.trimStart()].join('\n').replaceAll(/ +$/gm, '');
}

/** Checks an export and its members, and completes their examples. */
function review(reflection, exports, logger) {
  const name = `${moduleOf(reflection.parent.name)}: ${reflection.name}`;
  const members = (reflection.children ?? []).filter((each) => !each.name.startsWith('[') && each.kind !== ReflectionKind.Constructor);
  for (const each of [reflection, ...members]) {
    const isExport = each === reflection;
    const where = isExport ? name : `${name}.${each.name}`;
    if (!each.flags.isExternal) for (const what of lacks(each, isExport)) logger.error(`${where} lacks ${what}`);
    // The example of a property is a value.
    const isProgram = isExport || each.kind === ReflectionKind.Method;
    const examples = isProgram ? commentsOf(each).flatMap((comment) => comment.getTags('@example')) : [];
    if (examples.length > 1 || !examples.every((tag) => addImports(tag, exports)))
      logger.error(`${where} has examples that are not one block of code`);
  }
}

export function load(app) {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    // What an entry point exports of another one has its description there.
    const exports = project.children.flatMap(({ children }) => children.filter(({ kind }) => kind !== ReflectionKind.Reference));
    const sections = new Map(app.options.getValue('entryPoints').flatMap((file) => [...sectionsOf(file)]));
    app.options.setValue('categoryOrder', [...new Set(sections.values())]);
    for (const reflection of exports) {
      review(reflection, exports, app.logger);
      const section = sections.get(reflection.name);
      if (section === undefined) continue;
      const commented = reflection.signatures?.[0] ?? reflection;
      commented.comment ??= new Comment();
      commented.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: section }]));
    }
  });
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    page.contents = finish(page, app.renderer.router);
  });
}

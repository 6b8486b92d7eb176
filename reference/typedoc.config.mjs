// How TypeDoc makes docs/reference/ from the docstrings of src/: one page for each entry point.
const entryOf = (folder) => `../src/${folder}index.ts`;

export default {
  plugin: ['typedoc-plugin-markdown', './plugin.mjs'],
  tsconfig: '../tsconfig.build.json',
  entryPoints: ['', 'cli/', 'relay/', 'testing/', 'bullmq/', 'delivery/ndjson/'].map(entryOf),
  out: '../docs/reference',
  router: 'module',
  readme: 'none',
  disableSources: true,
  // `npm run check` checks the types.
  skipErrorChecking: true,
  excludeInternal: true,
  excludeExternals: true,
  // A default of one word is code, and most others are sentences: the docstring says which.
  jsDocCompatibility: { defaultTag: false },
  categorizeByGroup: false,
  sortEntryPoints: false,
  sort: ['kind', 'alphabetical'],
  kindSortOrder: ['Function', 'Variable', 'Class', 'Interface', 'TypeAlias'],
  groupOrder: ['Functions', 'Interfaces', 'Type Aliases'],
  // What an entry point does not export needs no page. Each description names what matters of it.
  validation: { notExported: false },
  treatWarningsAsErrors: true,
  hideBreadcrumbs: true,
  hidePageHeader: true,
  pageTitleTemplates: {
    index: 'Reference',
    module: ({ name }) => (name === 'index' ? 'cosmos-telemetry' : `cosmos-telemetry/${name}`),
  },
  // GitHub's own anchors differ from those of the links where two headings are equal.
  useHTMLAnchors: true,
  useCodeBlocks: true,
  expandParameters: true,
  expandObjects: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeDeclarationFormat: 'table',
  tableColumnSettings: { hideInherited: true, hideOverrides: true, hideModifiers: true },
};

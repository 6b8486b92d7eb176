import mittModule from 'mitt';

/** mitt, whose types describe a CommonJS module while its `import` is an ES module. */
export const mitt = mittModule as unknown as typeof mittModule.default;

/** The least that a module can be. */
export const nothing = undefined;

/** The smallest possible module. */
export const nothing = undefined;

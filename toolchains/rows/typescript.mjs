export const part = 'x';
export const rows = [];

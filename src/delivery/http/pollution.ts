/** What code elsewhere in the host has left on `Object.prototype`: Node takes options that nobody gave from there. */

/** What is there by the standard of the language (ECMA-262, 20.1.3 and B.2.2). A runtime may lack some: Deno has no `__proto__`. */
const STANDARD: ReadonlySet<PropertyKey> = new Set([
  '__defineGetter__',
  '__defineSetter__',
  '__lookupGetter__',
  '__lookupSetter__',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'isPrototypeOf',
  'propertyIsEnumerable',
  'toLocaleString',
  'toString',
  'valueOf',
]);

/** Whether anything is there now that is not by the standard. */
export function isPolluted(): boolean {
  return Reflect.ownKeys(Object.prototype).some((key) => !STANDARD.has(key));
}

/** The names that are there now and not by the standard. */
export function pollutedNames(): string[] {
  return Object.getOwnPropertyNames(Object.prototype).filter((name) => !STANDARD.has(name));
}

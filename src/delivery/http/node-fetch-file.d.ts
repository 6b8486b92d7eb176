// The file of the package node-fetch, with the types of the package: see `client.ts` for the reason.
declare module 'node-fetch/src/index.js' {
  export { default } from 'node-fetch';
}

/*
 * All modules that are loaded late, as one file that needs no other: see `late.ts`. Each is run when it is asked for.
 */
export const pQueue = async (): Promise<unknown> => (await import('p-queue')).default;
export const pRetry = async (): Promise<unknown> => (await import('p-retry')).default;
export const httpClient = async (): Promise<unknown> => import('./http/client.js');
export const consentActs = async (): Promise<unknown> => import('../opt-out/consent-acts.js');
export const dailyFile = async (): Promise<unknown> => import('../opt-out/daily-file.js');
export const mistakeWords = async (): Promise<unknown> => import('../events/mistake-words.js');
export const tunnelAgent = async (): Promise<unknown> => import('./http/tunnel-agent.js');
export const spread = async (): Promise<unknown> => (await import('./spread.js')).Spread;

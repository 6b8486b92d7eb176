// Rewrites the privacy notices of this repository, for `cosmos` and for the example product: `npm run privacy`.
import { acme } from '../build/examples/acme/product.js';
import { COSMOS_ENDPOINT, writePrivacyNotice } from '../dist/index.js';

const notices = { 'PRIVACY.md': { product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT }, 'examples/acme/PRIVACY.md': acme };
for (const [file, description] of Object.entries(notices)) {
  const isWritten = writePrivacyNotice(new URL(`../${file}`, import.meta.url), description);
  console.log(`${file}: ${isWritten ? 'written' : 'up to date'}`);
}

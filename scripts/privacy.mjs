// Rewrites the privacy notices of this repository, for `cosmos` and for the example product: `npm run privacy`.
import { writeFileSync } from 'node:fs';
import { acmePrivacyNotice } from '../build/examples/acme/events.js';
import { COSMOS_ENDPOINT, renderPrivacyNotice } from '../dist/index.js';

const notices = {
  'PRIVACY.md': renderPrivacyNotice({ product: { name: 'cosmos' }, endpoint: COSMOS_ENDPOINT }),
  'examples/acme/PRIVACY.md': acmePrivacyNotice(),
};
for (const [file, notice] of Object.entries(notices)) {
  writeFileSync(new URL(`../${file}`, import.meta.url), notice);
  console.log(file);
}

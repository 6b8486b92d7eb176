/** A longer id is no id that comes again. Airflow allows 250 characters. */
const MAX_REMEMBERED_LENGTH = 250;

/** Longer than this is no id, and the host would wait for its digest: a second for each gigabyte. */
const MAX_HASHED_LENGTH = 64 * 1024;

/** A scheduler has some thousands of DAGs; more than this are not remembered at a time. */
const MAX_REMEMBERED = 1000;

/**
 * md5 of a DAG id in hex, as Cosmos sends it. Pseudonymous, not anonymous: an id that can be guessed can be found. Null where
 * the platform forbids md5, as FIPS does, and for a text that is no id. node:crypto is loaded at the first question, since an opted-out host never asks.
 */
export function defaultDagHash(): (dagId: string) => string | null {
  const remembered = new Map<string, string>();
  return (dagId) => {
    if (dagId.length > MAX_HASHED_LENGTH) return null;
    const known = remembered.get(dagId);
    if (known !== undefined) return known;
    try {
      const hash = process.getBuiltinModule('node:crypto').createHash('md5').update(dagId.toWellFormed(), 'utf8').digest('hex');
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      if (dagId.length <= MAX_REMEMBERED_LENGTH) remembered.set(dagId, hash);
      return hash;
    } catch {
      return null;
    }
  };
}

/** The digest that a product has where its program brings none. */
export function productDagHash(product: string): (dagId: string) => string | null {
  return product === 'cosmos' ? defaultDagHash() : noDagHash;
}

/** For products that do not have Cosmos' wire to keep. */
export function noDagHash(): null {
  return null;
}

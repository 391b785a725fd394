/** Node's crypto, loaded at its first use: that takes 2.5 ms, which a hook has better uses for before git runs. */
const crypto = () => process.getBuiltinModule('node:crypto');

export const createHash: typeof import('node:crypto')['createHash'] = (...args) =>
  crypto().createHash(...args);

export function randomBytes(size: number): Buffer {
  return crypto().randomBytes(size);
}

/** Loads it now, while there is time. */
export function warmCrypto(): void {
  crypto();
}

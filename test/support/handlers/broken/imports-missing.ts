// A handler module that exists but imports one that does not.
const address = './not-there.js';
await import(address);

export function onTick(): void {
  // never there
}

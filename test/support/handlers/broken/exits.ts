// A handler module that ends its thread on import.
process.exit(3);

export function onTick(): void {
  // never there
}

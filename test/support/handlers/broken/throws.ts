// A handler module that throws on import.
throw new TypeError('no configuration:\n  file missing');

export function onTick(): void {
  // never there
}

// A handler module whose import does not come to an end.
await new Promise(() => undefined);

export function onTick(): void {
  // never there
}

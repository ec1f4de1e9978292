// A handler module whose import holds its thread.
for (;;);

export function onTick(): void {
  // never there
}

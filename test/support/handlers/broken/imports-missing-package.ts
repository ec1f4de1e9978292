// A handler module that exists but imports a package that is not installed.
const name = 'not-installed';
await import(name);

export function onTick(): void {
  // never there
}

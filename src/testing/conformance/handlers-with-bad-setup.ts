/** A module whose `setup` fails. */
export function setup(): void {
  throw new Error('this setup of the conformance suite always fails');
}

export function record(): void {
  // Never called.
}

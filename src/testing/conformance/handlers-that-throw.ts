/** A module that cannot be imported. */
export function record(): void {
  // Never called.
}

throw new Error('this module of the conformance suite always throws');

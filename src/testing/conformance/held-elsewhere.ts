/** A sentence of the contract that no case of the suite can hold, and why. */
export interface HeldElsewhere {
  /** The sentence of docs/contract.md, word by word. */
  readonly sentence: string;
  /** The heading that the sentence stands under. */
  readonly section: string;
  /** What keeps a case of the suite, which is a function in the process of the bus, from seeing it. */
  readonly why: string;
}

/** All of them: together with the cases they are the whole contract. */
export const heldElsewhere: readonly HeldElsewhere[] = [
  {
    section: '1. Events',
    sentence:
      "A wrong payload, a type that is not in the catalog, or a handler for another event's payload does not compile.",
    why: 'a matter of the types of Lanebus, which all backends share: test/types',
  },
  {
    section: '11. Lifecycle',
    sentence: 'Nothing keeps the process alive after `stop`.',
    why: 'seen from outside the process only; a run of the suite on node:test does not end otherwise',
  },
  {
    section: '11. Lifecycle',
    sentence: 'A process that ends without `stop` loses only what was in memory.',
    why: 'seen from outside the process only',
  },
];

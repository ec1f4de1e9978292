import type { Backend, BackendCapabilities } from '../../main/index.js';
import { type Kind, PATIENCE_MS, Scene } from './scene.js';

/** What a backend may lack, and a case may need. */
export type Capability = keyof BackendCapabilities;

/** One test of one sentence of the contract, to be run by whatever means. */
export interface ConformanceCase {
  /** The sentence of docs/contract.md that it holds, word by word. */
  readonly sentence: string;
  /** The heading that the sentence stands under. */
  readonly section: string;
  /** What the case is called, and no other: the sentence, and what is special about the case where it has several. */
  readonly title: string;
  /** What is special about it; undefined if the sentence has no other case. */
  readonly variant: string | undefined;
  /** Without which the sentence is not claimed; undefined if every backend owes it. */
  readonly needs: Capability | undefined;
  /**
   * Whether the backend claims the sentence. If not, the case is the counter-case: it passes when what the contract says
   * of a backend without the capability happens, and fails when the promise is kept after all.
   */
  readonly claimed: boolean;
  /** Of a counter-case: the sentence of the contract that says what happens instead. */
  readonly instead: string | undefined;
  /**
   * Rejects, with an AssertionError as a rule, when the backend does not do what the sentence says. Its buses are stopped
   * when it settles. Any number of cases may run at the same time.
   */
  run(backend: Backend, options?: CaseOptions): Promise<void>;
}

/** How a case is run. */
export interface CaseOptions {
  /** How long the case waits for what must happen, in ms, above 0. Default 10,000. */
  readonly patienceMs?: number;
}

export type Act = (scene: Scene) => void | Promise<void>;

/** What happens instead where the backend lacks what a case needs. */
export interface Counter {
  /** The sentence of the contract, in its section "Capabilities", that says so. */
  readonly sentence: string;
  readonly act: Act;
}

/** A case as it is written down, for both sorts of backend. */
export interface Draft {
  readonly sentence: string;
  readonly section: string;
  readonly variant: string | undefined;
  readonly needs: Capability | undefined;
  readonly kind: Kind;
  readonly act: Act;
  readonly counter: Counter | undefined;
}

type Write = (sentence: string, act: Act, variant?: string) => void;

/** How the cases of a section are written down. */
export interface Section {
  /** A case that is the same whatever kind of handler it has: it is run with both. */
  readonly both: Write;
  /** A case with function handlers, or with none. */
  readonly once: Write;
  /** A case with worker handlers. */
  readonly worker: Write;
  /** A case with worker handlers that needs a capability, and what is seen without it. */
  readonly needs: (capability: Capability, sentence: string, act: Act, counter: Counter, variant?: string) => void;
}

export function section(title: string, write: (section: Section) => void): readonly Draft[] {
  const drafts: Draft[] = [];
  const add = (
    sentence: string,
    kind: Kind,
    act: Act,
    variant?: string,
    needs?: Capability,
    counter?: Counter,
  ): void => {
    drafts.push({ sentence, section: title, variant, needs, kind, act, counter });
  };
  write({
    both: (sentence, act, variant) => {
      add(sentence, 'function', act, join(variant, 'function handlers'));
      add(sentence, 'worker', act, join(variant, 'worker handlers'));
    },
    once: (sentence, act, variant) => {
      add(sentence, 'function', act, variant);
    },
    worker: (sentence, act, variant) => {
      add(sentence, 'worker', act, variant);
    },
    needs: (capability, sentence, act, counter, variant) => {
      add(sentence, 'worker', act, variant, capability, counter);
    },
  });
  return drafts;
}

function join(...words: readonly (string | undefined)[]): string {
  return words.filter(Boolean).join(', ');
}

/** The case that a draft is for a backend with these capabilities. */
export function caseOf(draft: Draft, capabilities: BackendCapabilities): ConformanceCase {
  const { sentence, section: heading, variant, needs, kind, counter } = draft;
  const claimed = needs === undefined || capabilities[needs];
  const act = claimed ? draft.act : counter?.act;
  if (act === undefined) throw new Error(`the case of "${sentence}" needs ${needs}, and has no counter-case`);
  const name = variant === undefined ? sentence : `${sentence} (${variant})`;
  return {
    sentence,
    section: heading,
    variant,
    title: claimed ? name : `not claimed: ${name}`,
    needs,
    claimed,
    instead: claimed ? undefined : counter?.sentence,
    run: (backend, { patienceMs = PATIENCE_MS } = {}) => perform(act, new Scene(backend, kind, patienceMs)),
  };
}

/** Waits of a case, one after the other, and its end. */
const PATIENCES = 3;

async function perform(act: Act, scene: Scene): Promise<void> {
  let late: NodeJS.Timeout | undefined;
  const limitMs = scene.patienceMs * PATIENCES;
  const limit = new Promise<never>((_, reject) => {
    late = setTimeout(() => {
      reject(new Error(`the case has not ended within ${limitMs} ms`));
    }, limitMs);
  });
  try {
    await Promise.race([act(scene), limit]);
  } finally {
    clearTimeout(late);
    await scene.close();
  }
}

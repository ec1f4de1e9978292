/** Why a target is missed, as a profile shows it: one sentence, by the target's title. */
export const REASONS: Readonly<Record<string, string>> = {};

/** A call that says too little, too much, or what does not go together: one line on standard error, exit code 2. */
export class UsageError extends Error {}

/** A handler's work, as in bench/work.ts. */
final class Work {
  private Work() {}

  /** Each step needs the one before, and the caller uses the last: no compiler leaves one out. */
  static int burn(int steps) {
    int state = 1;
    for (int step = 0; step < steps; step++) state = state * 1_664_525 + 1_013_904_223;
    return state;
  }
}

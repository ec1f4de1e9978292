final class Check {
  private Check() {}

  /** Throws with both values when they are not the same. */
  static void equal(String what, Object found, Object expected, String when) {
    if (found.equals(expected)) return;
    throw new IllegalStateException(what + " is " + found + ", expected " + expected + when);
  }

  static void equal(String what, Object found, Object expected) {
    equal(what, found, expected, "");
  }
}

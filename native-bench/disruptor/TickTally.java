/** The consumer's work, the same for every system: it reads fields and notices a tick that is missing, changed or early. */
final class TickTally {
  private final int[] symbolLengths;
  private long count;
  private long sizeSum;
  private long symbolSum;
  private boolean inOrder = true;

  /** @param symbolLengths As `symbolLengths` gives them. */
  TickTally(int[] symbolLengths) {
    this.symbolLengths = symbolLengths;
  }

  /** By number: the length of a symbol's text, "ES0", "ES1" and so on. */
  static int[] symbolLengths(int symbols) {
    if (symbols == 0) throw new IllegalArgumentException("symbols is 0, expected 1 or more");
    int[] lengths = new int[symbols];
    for (int at = 0; at < symbols; at++) lengths[at] = ("ES" + at).length();
    return lengths;
  }

  void take(Tick tick) {
    if (tick.sequence != count || tick.ask - tick.bid != 0.5) inOrder = false;
    count++;
    sizeSum += tick.size;
    symbolSum += symbolLengths[tick.symbol];
  }

  /** Throws unless exactly the ticks 0 … events - 1 were taken, in order. */
  void check(int events) {
    check(events, 0, "the consumer");
  }

  /** @param addedSize What was added to each one's size on its way. */
  void check(int events, int addedSize, String whose) {
    TickTally expected = new TickTally(symbolLengths);
    Tick tick = new Tick();
    for (int at = 0; at < events; at++) {
      tick.make(at, symbolLengths.length);
      tick.size += addedSize;
      expected.take(tick);
    }
    String after = " after " + events + " ticks";
    Check.equal(whose + "'s count", count, expected.count, after);
    Check.equal(whose + "'s sizeSum", sizeSum, expected.sizeSum, after);
    Check.equal(whose + "'s symbolSum", symbolSum, expected.symbolSum, after);
    Check.equal(whose + "'s inOrder", inOrder, true, after);
  }
}

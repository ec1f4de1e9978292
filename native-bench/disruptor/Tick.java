/**
 * What the scenarios send: bench/ticks.ts, in Java. 7 numbers of 8 bytes, one of 4 and the number of a symbol of 4; the
 * publisher lies in what would be padding.
 */
final class Tick {
  /** In place of a symbol: after the last tick of a stream. */
  static final int END = -1;
  /** In place of a symbol: no tick, but a halt. */
  static final int HALT = -2;

  int symbol;
  int size;
  int publisher;
  double price;
  double bid;
  double ask;
  double bidSize;
  double askSize;
  double exchangeTime;
  double sequence;

  void make(int at, int symbols) {
    double middle = 4800 + (at & 255) * 0.25;
    symbol = at % symbols;
    size = 1 + (at & 7);
    price = middle;
    bid = middle - 0.25;
    ask = middle + 0.25;
    bidSize = 10;
    askSize = 12;
    exchangeTime = 1_703_545_201_000.0 + at;
    sequence = at;
  }

  void copyFrom(Tick other) {
    symbol = other.symbol;
    size = other.size;
    price = other.price;
    bid = other.bid;
    ask = other.ask;
    bidSize = other.bidSize;
    askSize = other.askSize;
    exchangeTime = other.exchangeTime;
    sequence = other.sequence;
  }
}

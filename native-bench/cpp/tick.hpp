/** What the scenarios send, and how they find that it has arrived: bench/ticks.ts, in C++. */
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"


/** The layout is also that of a record of a `--rows` file, little-endian. */
struct alignas(64) Tick {
  /** Number of the symbol, or END. */
  std::uint32_t symbol;
  std::uint32_t size;
  double price;
  double bid;
  double ask;
  double bidSize;
  double askSize;
  double exchangeTime;
  double sequence;
};
static_assert(sizeof(Tick) == 64);

/** After the last tick of a stream. */
constexpr std::uint32_t END = 0xffff'ffff;

/** By number: the length of a symbol's text, "ES0", "ES1" and so on. */
class Symbols {
 public:
  explicit Symbols(std::uint32_t count) {
    if (count == 0) throw std::invalid_argument("symbols is 0, expected 1 or more");
    for (std::uint32_t at = 0; at < count; at++) lengths_.push_back(("ES" + std::to_string(at)).size());
  }

  std::uint32_t count() const { return static_cast<std::uint32_t>(lengths_.size()); }
  std::uint64_t lengthOf(std::uint32_t symbol) const { return symbol < lengths_.size() ? lengths_[symbol] : 0; }

 private:
  std::vector<std::uint64_t> lengths_;
};

inline void makeTick(Tick& tick, std::uint32_t at, std::uint32_t symbols) {
  const double price = 4800 + (at & 255) * 0.25;
  tick.symbol = at % symbols;
  tick.size = 1 + (at & 7);
  tick.price = price;
  tick.bid = price - 0.25;
  tick.ask = price + 0.25;
  tick.bidSize = 10;
  tick.askSize = 12;
  tick.exchangeTime = 1'703'545'201'000.0 + at;
  tick.sequence = at;
}

/** The consumer's work, the same for every system: it reads fields and notices a tick that is missing, changed or early. */
class TickTally {
 public:
  explicit TickTally(const Symbols& symbols) : symbols_(&symbols) {}

  void take(const Tick& tick) {
    if (tick.sequence != static_cast<double>(count_) || tick.ask - tick.bid != 0.5) inOrder_ = false;
    count_++;
    sizeSum_ += tick.size;
    symbolSum_ += symbols_->lengthOf(tick.symbol);
  }

  std::uint64_t count() const { return count_; }

  /**
   * Throws unless exactly the ticks 0 … count - 1 were taken, in order.
   * @param addedSize What was added to each one's size on its way.
   */
  void check(std::uint32_t count, std::uint32_t addedSize = 0, const std::string& whose = "the consumer") const {
    TickTally expected(*symbols_);
    for (std::uint32_t at = 0; at < count; at++) {
      Tick tick;
      makeTick(tick, at, symbols_->count());
      tick.size += addedSize;
      expected.take(tick);
    }
    const std::string after = " after " + std::to_string(count) + " ticks";
    checkEqual(whose + "'s count", count_, expected.count_, after);
    checkEqual(whose + "'s sizeSum", sizeSum_, expected.sizeSum_, after);
    checkEqual(whose + "'s symbolSum", symbolSum_, expected.symbolSum_, after);
    checkEqual(whose + "'s inOrder", inOrder_, true, after);
  }

 private:
  const Symbols* symbols_;
  std::uint64_t count_ = 0;
  std::uint64_t sizeSum_ = 0;
  std::uint64_t symbolSum_ = 0;
  bool inOrder_ = true;
};

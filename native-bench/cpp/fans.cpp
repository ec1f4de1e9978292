/** One producer, many consumers: each sees all ticks, or those of its keys. */
#include <algorithm>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "scenarios.hpp"
#include "streams.hpp"
#include "work.hpp"

namespace {

constexpr std::uint32_t CAPACITY = 65'536;

/** What the one thread that has a key saw of it, as in bench/scenarios/fan-out-keyed.ts. */
struct KeyTally {
  std::uint64_t count = 0;
  std::uint64_t sizeSum = 0;
  /** Sum of what `burn` returned, modulo 2^32: the work was done, each time. */
  std::uint32_t workSum = 0;
  bool inOrder = true;
};

class KeyedWork {
 public:
  KeyedWork(std::uint32_t steps, std::uint32_t keys) : steps_(steps), keys_(keys), tallies_(keys) {}

  /** Notices a tick that is missing, changed, early, or another thread's. */
  void take(const Tick& tick) {
    const std::uint32_t key = static_cast<std::uint32_t>(tick.sequence) % keys_;
    KeyTally& tally = tallies_[key];
    const std::uint64_t expected = key + tally.count * keys_;
    if (tick.sequence != static_cast<double>(expected) || tick.symbol != key) tally.inOrder = false;
    tally.count++;
    tally.sizeSum += tick.size;
    if (steps_ > 0) tally.workSum += burn(steps_);
  }

  const KeyTally& of(std::uint32_t key) const { return tallies_[key]; }

 private:
  std::uint32_t steps_;
  std::uint32_t keys_;
  std::vector<KeyTally> tallies_;
};

/** Throws unless each key's thread saw exactly the key's ticks among 0 … events - 1, in order. */
void checkKeys(const std::vector<KeyedWork>& works, std::uint32_t steps, std::uint32_t events, std::uint32_t keys) {
  std::vector<KeyTally> expected(keys);
  for (std::uint32_t at = 0; at < events; at++) {
    Tick tick;
    makeTick(tick, at, keys);
    expected[tick.symbol].count++;
    expected[tick.symbol].sizeSum += tick.size;
  }
  const std::uint32_t work = steps > 0 ? burn(steps) : 0;
  for (std::uint32_t key = 0; key < keys; key++) {
    const KeyTally& found = works[key % works.size()].of(key);
    const std::string name = "key ES" + std::to_string(key) + ": ";
    checkEqual(name + "count", found.count, expected[key].count);
    checkEqual(name + "sizeSum", found.sizeSum, expected[key].sizeSum);
    checkEqual(name + "workSum", found.workSum, static_cast<std::uint32_t>(expected[key].count) * work);
    checkEqual(name + "inOrder", found.inOrder, true);
  }
}

}  // namespace

/** One broadcast ring: each of the consumers sees every tick, the slowest one holds the producer back. */
JsonObject fanOut(const Parameters& parameters) {
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t drop = parameters.drop();
  const std::uint32_t consumers = parameters.positive("consumers", 4);
  TickRing ring(parameters.count("capacity", CAPACITY), consumers);
  return measureThroughput(parameters, [&](std::uint32_t events) {
    std::vector<TickTally> tallies(consumers, TickTally(symbols));
    const Clock::time_point start = Clock::now();
    std::vector<std::jthread> threads;
    for (std::uint32_t index = 0; index < consumers; index++) {
      threads.emplace_back([&, index] { tallies[index] = tallyStream(ring.reader(index), symbols); });
    }
    publishStream(ring, events, symbols.count(), drop);
    for (std::jthread& thread : threads) thread.join();
    const double seconds = secondsSince(start);
    for (std::uint32_t index = 0; index < consumers; index++) {
      tallies[index].check(events, 0, "consumer " + std::to_string(index));
    }
    return seconds;
  }).toJson();
}

/** A ring for each consumer; the producer puts a tick into that of its key's thread. */
JsonObject fanOutKeyed(const Parameters& parameters) {
  const std::uint32_t keys = parameters.positive("symbols", 1'000);
  const std::uint32_t drop = parameters.drop();
  const std::uint32_t threadCount = parameters.positive("threads", 2);
  const std::uint32_t steps = parameters.count("workSteps", 0);
  std::deque<TickRing> rings;
  for (std::uint32_t at = 0; at < threadCount; at++) rings.emplace_back(parameters.count("capacity", CAPACITY));

  return measureThroughput(parameters, [&](std::uint32_t events) {
    std::vector<KeyedWork> works(threadCount, KeyedWork(steps, keys));
    const Clock::time_point start = Clock::now();
    std::vector<std::jthread> threads;
    for (std::uint32_t at = 0; at < threadCount; at++) {
      threads.emplace_back([&, at] { consumeStream(rings[at].reader(), [&](const Tick& tick) { works[at].take(tick); }); });
    }
    for (std::uint32_t at = 0; at < events; at++) {
      if (at == drop) continue;
      publish(rings[at % keys % threadCount], [&](Tick& tick) { makeTick(tick, at, keys); });
    }
    for (TickRing& ring : rings) publishEnd(ring);
    for (std::jthread& thread : threads) thread.join();
    const double seconds = secondsSince(start);
    checkKeys(works, steps, events, keys);
    return seconds;
  }).toJson();
}

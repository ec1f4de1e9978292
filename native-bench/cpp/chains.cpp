/** Producers and consumers in rows: one to one, a pipeline, many to one. */
#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "scenarios.hpp"
#include "streams.hpp"

namespace {

constexpr std::uint32_t CAPACITY = 65'536;

JsonObject measureOneToOne(const Parameters& parameters, const std::function<void(TickRing&, std::uint32_t)>& publishAll) {
  const Symbols symbols(parameters.count("symbols", 16));
  TickRing ring(parameters.count("capacity", CAPACITY));
  return measureThroughput(parameters, [&](std::uint32_t events) {
    TickTally tally(symbols);
    const Clock::time_point start = Clock::now();
    std::jthread consumer([&] { tally = tallyStream(ring.reader(), symbols); });
    publishAll(ring, events);
    consumer.join();
    const double seconds = secondsSince(start);
    tally.check(events);
    return seconds;
  }).toJson();
}

void publishBatches(TickRing& ring, std::uint32_t count, std::uint32_t batch, std::uint32_t symbols, std::uint32_t drop) {
  for (std::uint32_t first = 0; first < count; first += batch) {
    const std::uint32_t end = std::min(first + batch, count);
    awaitWithBackoff([&] { return ring.hasRoom(end - first); });
    std::uint32_t written = 0;
    for (std::uint32_t at = first; at < end; at++) {
      if (at != drop) makeTick(ring.claimed(written++), at, symbols);
    }
    ring.commit(written);
  }
  publishEnd(ring);
}

}  // namespace

/** Producer → consumer, one tick a commit. */
JsonObject oneToOne(const Parameters& parameters) {
  const std::uint32_t symbols = parameters.count("symbols", 16);
  const std::uint32_t drop = parameters.drop();
  return measureOneToOne(parameters, [=](TickRing& ring, std::uint32_t events) {
    publishStream(ring, events, symbols, drop);
  });
}

/** Producer → consumer, `batch` ticks a commit. */
JsonObject oneToOneBatch(const Parameters& parameters) {
  const std::uint32_t symbols = parameters.count("symbols", 16);
  const std::uint32_t drop = parameters.drop();
  const std::uint32_t batch = parameters.count("batch", 256);
  const std::uint32_t capacity = parameters.count("capacity", CAPACITY);
  if (batch == 0 || batch > capacity) {
    throw std::invalid_argument("batch is " + std::to_string(batch) + ", expected 1 to the capacity of " + std::to_string(capacity));
  }
  return measureOneToOne(parameters, [=](TickRing& ring, std::uint32_t events) {
    publishBatches(ring, events, batch, symbols, drop);
  });
}

/** Producer → ring → stage → ring → stage → ring → last stage. The first two add 1 to the size: each has had every tick. */
JsonObject pipeline(const Parameters& parameters) {
  constexpr std::uint32_t PASSING_STAGES = 2;
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t drop = parameters.drop();
  const std::uint32_t capacity = parameters.count("capacity", CAPACITY);
  TickRing first(capacity);
  TickRing second(capacity);
  TickRing third(capacity);
  const auto passOn = [](TickRing& from, TickRing& to) {
    consumeStream(from.reader(), [&](const Tick& tick) {
      publish(to, [&](Tick& next) {
        next = tick;
        next.size++;
      });
    });
    publishEnd(to);
  };
  return measureThroughput(parameters, [&](std::uint32_t events) {
    TickTally tally(symbols);
    const Clock::time_point start = Clock::now();
    std::jthread stageOne([&] { passOn(first, second); });
    std::jthread stageTwo([&] { passOn(second, third); });
    std::jthread stageThree([&] { tally = tallyStream(third.reader(), symbols); });
    publishStream(first, events, symbols.count(), drop);
    stageThree.join();
    const double seconds = secondsSince(start);
    tally.check(events, PASSING_STAGES, "the last stage");
    return seconds;
  }).toJson();
}

/** `producers` threads, each with a ring of its own → one consumer, which polls them in turn. `events` is of all together. */
JsonObject manyToOne(const Parameters& parameters) {
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t drop = parameters.drop();
  const std::uint32_t producers = parameters.positive("producers", 3);
  std::deque<TickRing> rings;
  for (std::uint32_t at = 0; at < producers; at++) rings.emplace_back(parameters.count("capacity", CAPACITY));

  return measureThroughput(parameters, [&](std::uint32_t events) {
    std::vector<TickTally> tallies(producers, TickTally(symbols));
    const auto shareOf = [&](std::uint32_t at) { return events / producers + (at < events % producers ? 1 : 0); };
    const Clock::time_point start = Clock::now();
    std::vector<std::jthread> threads;
    for (std::uint32_t at = 0; at < producers; at++) {
      threads.emplace_back([&, at] { publishStream(rings[at], shareOf(at), symbols.count(), drop); });
    }
    std::uint32_t ended = 0;
    for (Backoff backoff; ended < producers;) {
      std::uint64_t count = 0;
      for (std::uint32_t at = 0; at < producers; at++) {
        count += rings[at].reader().poll([&, &tally = tallies[at]](const Tick& tick) {
          if (tick.symbol == END) {
            ended++;
          } else {
            tally.take(tick);
          }
        });
      }
      if (count > 0) {
        backoff.reset();
      } else {
        backoff.pause();
      }
    }
    const double seconds = secondsSince(start);
    for (std::uint32_t at = 0; at < producers; at++) {
      tallies[at].check(shareOf(at), 0, "the consumer for producer " + std::to_string(at));
    }
    return seconds;
  }).toJson();
}

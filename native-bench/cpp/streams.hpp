/** What the scenarios share: a stream of ticks through rings, and how fast streams are. */
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "json.hpp"
#include "ring.hpp"
#include "tick.hpp"
#include "wait.hpp"

using TickRing = Ring<Tick>;
using Clock = std::chrono::steady_clock;

inline double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/** Publishes one record, which `write` fills in. Waits for room. */
template <typename Write>
void publish(TickRing& ring, Write&& write) {
  if (!ring.hasRoom()) awaitWithBackoff([&] { return ring.hasRoom(); });
  write(ring.claimed());
  ring.commit();
}

inline void publishEnd(TickRing& ring) {
  publish(ring, [](Tick& tick) { tick.symbol = END; });
}

/** Publishes the ticks 0 … count - 1 one by one, but for the dropped one, and the end of the stream. */
inline void publishStream(TickRing& ring, std::uint32_t count, std::uint32_t symbols, std::uint32_t drop) {
  for (std::uint32_t at = 0; at < count; at++) {
    if (at == drop) continue;
    publish(ring, [&](Tick& tick) { makeTick(tick, at, symbols); });
  }
  publishEnd(ring);
}

/** Calls `handle` with each tick up to the end of the stream. */
template <typename Handle>
void consumeStream(TickRing::Reader& reader, Handle&& handle) {
  Backoff backoff;
  for (bool hasEnded = false; !hasEnded;) {
    const std::uint64_t count = reader.poll([&](Tick& tick) {
      if (tick.symbol == END) [[unlikely]] {
        hasEnded = true;
      } else {
        handle(tick);
      }
    });
    if (count > 0) {
      backoff.reset();
    } else {
      backoff.pause();
    }
  }
}

/** The tally is on the stack of the thread that reads: a cache line that the producer's variables share would be fought for. */
inline TickTally tallyStream(TickRing::Reader& reader, const Symbols& symbols) {
  TickTally tally(symbols);
  consumeStream(reader, [&](const Tick& tick) { tally.take(tick); });
  return tally;
}

/** Runs one stream of so many events and checks it. @returns Seconds that it took, without the check. */
using Stream = std::function<double(std::uint32_t events)>;

/** What streams came to, in events a second. */
struct Throughput {
  double median;
  int warmups;
  std::vector<double> rates;

  JsonObject toJson() const {
    return JsonObject()
        .add("value", median)
        .add("details", JsonObject().add("wait", Backoff::NAME).add("warmups", warmups).add("rounds", rates));
  }
};

/** As bench/throughput.ts: warm-up streams until they are steady, then the median of the slices. */
inline Throughput measureThroughput(const Parameters& parameters, const Stream& stream) {
  constexpr double STEADY_WITHIN = 0.05;
  constexpr int MAX_WARMUPS = 8;
  const std::uint32_t events = parameters.count("events", 4'000'000);
  const std::uint32_t warmup = parameters.count("warmup", events / 2);
  const std::uint32_t slices = parameters.positive("slices", 5);

  int warmups = 1;
  double last = warmup / stream(warmup);
  for (bool isSteady = false; !isSteady && warmups < MAX_WARMUPS; warmups++) {
    const double rate = warmup / stream(warmup);
    isSteady = std::abs(rate - last) <= STEADY_WITHIN * last;
    last = rate;
  }
  std::vector<double> rates;
  for (std::uint32_t slice = 0; slice < slices; slice++) rates.push_back(events / stream(events));
  return {median(rates), warmups, rates};
}

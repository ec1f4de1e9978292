/** What one side pays: the producer for a publish, the process for a consumer that waits. */
#include <time.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "scenarios.hpp"
#include "streams.hpp"

namespace {

double secondsOf(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) throw std::runtime_error("the CPU clock cannot be read");
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

/**
 * Bursts that fit into the ring, while the consumer reads along; the next one begins when all of the last is consumed. By the
 * clock of the thread's CPU time, so that others who have its core do not count.
 */
JsonObject publishCost(const Parameters& parameters) {
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t drop = parameters.drop();
  const std::uint32_t events = parameters.positive("events", 2'000'000);
  const std::uint32_t warmup = parameters.count("warmup", events / 4);
  TickRing ring(parameters.count("capacity", 65'536));
  const std::uint32_t burst = std::min(parameters.positive("burst", 10'000), events);
  if (burst > ring.capacity()) {
    throw std::invalid_argument("burst is " + std::to_string(burst) + ", expected at most the capacity of " +
                                std::to_string(ring.capacity()));
  }

  TickTally tally(symbols);
  std::jthread consumer([&] { tally = tallyStream(ring.reader(), symbols); });
  std::uint32_t at = 0;
  const auto publishBurst = [&] {
    const double start = secondsOf(CLOCK_THREAD_CPUTIME_ID);
    for (const std::uint32_t end = at + burst; at < end; at++) {
      if (at != drop) publish(ring, [&](Tick& tick) { makeTick(tick, at, symbols.count()); });
    }
    const double seconds = secondsOf(CLOCK_THREAD_CPUTIME_ID) - start;
    awaitWithBackoff([&] { return ring.hasRoom(ring.capacity()); });
    return seconds * 1e9 / burst;
  };
  for (std::uint32_t sent = 0; sent < warmup; sent += burst) publishBurst();
  std::vector<double> nanos;
  for (std::uint32_t sent = 0; sent < events; sent += burst) nanos.push_back(publishBurst());
  publishEnd(ring);
  consumer.join();
  tally.check(at);
  return JsonObject()
      .add("value", median(nanos))
      .add("details", JsonObject()
                          .add("wait", Backoff::NAME)
                          .add("clock", "thread-cpu")
                          .add("bursts", static_cast<double>(nanos.size()))
                          .add("burst", burst));
}

/** A consumer sleeps beside an empty ring for `idleMs`; the ticks that come after that show that it can be woken. */
JsonObject idleCost(const Parameters& parameters) {
  const Symbols symbols(parameters.count("symbols", 16));
  const std::uint32_t events = parameters.count("events", 1'000);
  const std::uint32_t drop = parameters.drop();
  const std::chrono::milliseconds settle(parameters.count("settleMs", 500));
  const std::chrono::milliseconds idle(parameters.count("idleMs", 5'000));
  TickRing ring(parameters.count("capacity", 65'536));
  Doorbell bell;

  TickTally tally(symbols);
  std::jthread consumer([&] {
    TickTally ticks(symbols);
    for (bool hasEnded = false; !hasEnded;) {
      bell.await([&] { return ring.reader().visible() > 0; });
      ring.reader().poll([&](const Tick& tick) {
        if (tick.symbol == END) {
          hasEnded = true;
        } else {
          ticks.take(tick);
        }
      });
    }
    tally = ticks;
  });
  std::this_thread::sleep_for(settle);
  const double cpuBefore = secondsOf(CLOCK_PROCESS_CPUTIME_ID);
  const Clock::time_point start = Clock::now();
  std::this_thread::sleep_for(idle);
  const double wall = secondsSince(start);
  const double cpu = secondsOf(CLOCK_PROCESS_CPUTIME_ID) - cpuBefore;
  for (std::uint32_t at = 0; at < events; at++) {
    if (at == drop) continue;
    publish(ring, [&](Tick& tick) { makeTick(tick, at, symbols.count()); });
    bell.ring();
  }
  publishEnd(ring);
  bell.ring();
  consumer.join();
  tally.check(events);
  return JsonObject()
      .add("value", 100 * cpu / wall)
      .add("details", JsonObject().add("wait", Doorbell::NAME).add("wallMs", wall * 1'000).add("cpuMs", cpu * 1'000));
}

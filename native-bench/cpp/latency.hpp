#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "json.hpp"

/** Times, each kept: the percentiles are those of the samples themselves. How many there will be is known beforehand. */
class Latencies {
 public:
  explicit Latencies(std::size_t expected) { nanos_.reserve(expected); }

  void record(std::chrono::nanoseconds latency) { nanos_.push_back(latency.count()); }

  std::size_t count() const { return nanos_.size(); }

  /** Call once it is complete. */
  void sort() {
    if (nanos_.empty()) throw std::runtime_error("no latency was recorded");
    std::sort(nanos_.begin(), nanos_.end());
  }

  double microsAt(double quantile) const {
    const auto rank = static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(nanos_.size())));
    return static_cast<double>(nanos_[std::max<std::size_t>(rank, 1) - 1]) / 1000;
  }

  JsonObject toJson() const {
    return JsonObject()
        .add("p50", microsAt(0.5))
        .add("p99", microsAt(0.99))
        .add("p999", microsAt(0.999))
        .add("max", microsAt(1));
  }

 private:
  std::vector<std::int64_t> nanos_;
};

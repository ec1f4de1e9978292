/** The two ends of a run: the parameters that it is given, and the measurement that it prints. */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/** A flat JSON object of numbers. Names that a scenario does not ask for are ignored. */
class Parameters {
 public:
  explicit Parameters(const std::string& json);

  double number(const std::string& name, double fallback) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second;
  }

  std::uint32_t count(const std::string& name, std::uint32_t fallback) const {
    const double value = number(name, fallback);
    if (value >= 0 && value < 4294967295.0 && value == std::floor(value)) return static_cast<std::uint32_t>(value);
    std::ostringstream text;
    text << name << " is " << value << ", expected an integer from 0 to 4294967294";
    throw std::invalid_argument(text.str());
  }

  std::uint32_t positive(const std::string& name, std::uint32_t fallback) const {
    return std::max(1u, count(name, fallback));
  }

  /** Index of the event that the producer leaves out, so that the check must fail; NONE leaves out none. */
  std::uint32_t drop() const { return number("drop", -1) < 0 ? NONE : count("drop", NONE); }

  static constexpr std::uint32_t NONE = 0xffff'ffff;

 private:
  std::map<std::string, double> values_;
};

class JsonObject {
 public:
  JsonObject& add(std::string_view name, double value) {
    std::ostringstream text;
    text << std::setprecision(12) << value;
    return addRaw(name, text.str());
  }

  /** @param value Without quotes, backslashes and control characters. */
  JsonObject& add(std::string_view name, const char* value) {
    return addRaw(name, '"' + std::string(value) + '"');
  }

  JsonObject& add(std::string_view name, const JsonObject& value) {
    return addRaw(name, value.text());
  }

  JsonObject& add(std::string_view name, const std::vector<double>& values) {
    std::ostringstream text;
    for (std::size_t at = 0; at < values.size(); at++) text << (at > 0 ? "," : "") << std::setprecision(12) << values[at];
    return addRaw(name, '[' + text.str() + ']');
  }

  std::string text() const { return '{' + members_ + '}'; }

 private:
  JsonObject& addRaw(std::string_view name, const std::string& value) {
    if (!members_.empty()) members_ += ',';
    members_.append("\"").append(name).append("\":").append(value);
    return *this;
  }

  std::string members_;
};

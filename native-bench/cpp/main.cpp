/** Runs one scenario; the last line on stdout is its measurement as JSON. What is wrong is one line on stderr, exit code 1. */
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>

#include "json.hpp"
#include "scenarios.hpp"

namespace {

struct Options {
  std::string scenario = "one-to-one";
  std::string parameters = "{}";
  std::string rows;
};

Options parseOptions(int count, char** words) {
  Options options;
  const std::map<std::string, std::string*> known = {
      {"--scenario", &options.scenario}, {"--parameters", &options.parameters}, {"--rows", &options.rows}};
  for (int at = 1; at < count; at += 2) {
    const auto option = known.find(words[at]);
    if (option == known.end() || at + 1 == count) {
      throw std::invalid_argument("usage: cpp --scenario NAME [--parameters JSON] [--rows FILE]; given " + std::string(words[at]));
    }
    *option->second = words[at + 1];
  }
  return options;
}

JsonObject run(const Options& options) {
  const std::map<std::string, std::function<JsonObject(const Parameters&)>> scenarios = {
      {"one-to-one", oneToOne},
      {"one-to-one-batch", oneToOneBatch},
      {"fan-out-1-to-4", fanOut},
      {"fan-out-keyed", fanOutKeyed},
      {"pipeline-3", pipeline},
      {"many-to-one", manyToOne},
      {"ping-pong", pingPong},
      {"halt-overtakes", haltOvertakes},
      {"open-load", openLoad},
      {"publish-cost", publishCost},
      {"idle-cost", idleCost},
      {"feed", [&](const Parameters& parameters) { return feed(parameters, options.rows); }},
      {"kill-recovery",
       [](const Parameters&) {
         return JsonObject().add("absent", "a thread of a C++ process cannot be killed without the process");
       }},
  };
  const auto scenario = scenarios.find(options.scenario);
  if (scenario == scenarios.end()) {
    std::string names;
    for (const auto& [name, _] : scenarios) names += (names.empty() ? "" : ", ") + name;
    throw std::invalid_argument("there is no scenario " + options.scenario + "; there are: " + names);
  }
  return scenario->second(Parameters(options.parameters));
}

}  // namespace

int main(int count, char** words) {
  try {
    std::puts(run(parseOptions(count, words)).text().c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

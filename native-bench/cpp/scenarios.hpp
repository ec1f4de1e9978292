#pragma once

#include <string>

#include "json.hpp"

// Each returns what is to be printed. What is wrong is thrown.

JsonObject oneToOne(const Parameters& parameters);
JsonObject oneToOneBatch(const Parameters& parameters);
JsonObject pipeline(const Parameters& parameters);
JsonObject manyToOne(const Parameters& parameters);
JsonObject fanOut(const Parameters& parameters);
JsonObject fanOutKeyed(const Parameters& parameters);
JsonObject pingPong(const Parameters& parameters);
JsonObject haltOvertakes(const Parameters& parameters);
JsonObject openLoad(const Parameters& parameters);
JsonObject publishCost(const Parameters& parameters);
JsonObject idleCost(const Parameters& parameters);
/** @param rows Path of the file; empty when none was given. */
JsonObject feed(const Parameters& parameters, const std::string& rows);

// SPDX-License-Identifier: GPL-2.0-or-later
#include "hive/preload.h"

#include <iconv.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "hive/error.h"

namespace kvmnet::hive {

void preload_conversions() {
  // The names as hivex has them: the C library looks them up by name.
  for (const char* charset : {"UTF-16LE", "LATIN1"}) {
    for (const auto& [to, from] : {std::pair("UTF-8", charset), std::pair(charset, "UTF-8")}) {
      // Never closed: the C library drops what nobody uses.
      iconv_t conversion = ::iconv_open(to, from);
      if (conversion == reinterpret_cast<iconv_t>(-1))
        throw Error(std::string("converting ") + from + " to " + to + ": " +
                    std::generic_category().message(errno));
    }
  }
}

}  // namespace kvmnet::hive

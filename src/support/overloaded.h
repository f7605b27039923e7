// SPDX-License-Identifier: GPL-2.0-or-later
// Several lambdas as one visitor for std::visit.
#pragma once

namespace kvmnet {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace kvmnet

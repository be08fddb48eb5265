// The program.

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <exception>
#include <iostream>

#include "cli/app.hpp"

namespace {

int stderr_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that has gone shows as a failed write: no reason to die of a signal, or to complain.
  ::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  const warren::cli::Terminal terminal{.out = std::cout,
                                       .err = std::cerr,
                                       .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
                                       .columns = stderr_columns};
  try {
    const auto code =
        warren::cli::run(std::move(words), terminal, warren::node::process_environment());
    return static_cast<int>(code);
  } catch (const std::exception& thrown) {
    std::cerr << "warren: a bug, or no memory left: " << thrown.what() << '\n';
    return static_cast<int>(warren::cli::ExitCode::kFailed);
  }
}

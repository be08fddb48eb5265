#include "runtime/real_stream.hpp"

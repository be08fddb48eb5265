#pragma once
// What every transport must do, as tests. A transport's own test file includes this once, and
// instantiates the suite with a stage of its own:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, TransportContract, ::testing::Values(&make_memory_stage));

#include "transport/contract_connection_tests.hpp"
#include "transport/contract_stream_tests.hpp"

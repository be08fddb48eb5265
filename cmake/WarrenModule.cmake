# warren_module(<name> DEPS <modules...> LINK <external targets...> PROTO <files...>)
# One folder, one target, one namespace. Builds every *.cpp of the folder into
# warren::<name> and every *_test.cpp into test_<name>. Configuring fails when the
# module depends on one that is not yet defined, so the order of add_subdirectory
# in src/CMakeLists.txt IS the layer order. PROTO names files of /proto that the
# module speaks; their generated headers are included as "proto/<file>.pb.h".
function(warren_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK;PROTO" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  if(sources)
    add_library(warren_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_compile_options(warren_${name} PRIVATE ${WARREN_WARNINGS})
  else()
    add_library(warren_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(warren::${name} ALIAS warren_${name})
  target_include_directories(warren_${name} ${scope} ${PROJECT_SOURCE_DIR}/src
                                                     ${PROJECT_SOURCE_DIR}/include)
  foreach(dep IN LISTS ARG_DEPS)
    if(NOT TARGET warren::${dep})
      message(FATAL_ERROR "module '${name}' may not depend on '${dep}': it is above it, or missing")
    endif()
    target_link_libraries(warren_${name} ${scope} warren::${dep})
  endforeach()
  foreach(file IN LISTS ARG_PROTO)
    warren_proto(${file})
    get_filename_component(stem ${file} NAME_WE)
    target_link_libraries(warren_${name} ${scope} warren_proto_${stem})
  endforeach()
  target_link_libraries(warren_${name} ${scope} ${ARG_LINK})

  if(tests AND WARREN_BUILD_TESTS)
    add_executable(test_${name} ${tests})
    target_compile_options(test_${name} PRIVATE ${WARREN_WARNINGS})
    target_link_libraries(test_${name} PRIVATE warren::${name} GTest::gtest GTest::gmock
                                               GTest::gtest_main)
    # The simulated world stands beside the floors and is defined after them: linked by name.
    if(NOT name STREQUAL "base")
      target_link_libraries(test_${name} PRIVATE warren_sim)
    endif()
    add_test(NAME unit.${name} COMMAND test_${name})
    set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 120)
  endif()
endfunction()

# Generates one .proto of /proto with the lite runtime into a library of its own, once.
function(warren_proto file)
  get_filename_component(stem ${file} NAME_WE)
  if(TARGET warren_proto_${stem})
    return()
  endif()
  set(out ${PROJECT_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out}/proto)
  add_custom_command(
    OUTPUT ${out}/proto/${stem}.pb.cc ${out}/proto/${stem}.pb.h
    COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR} --cpp_out=lite:${out}
            ${PROJECT_SOURCE_DIR}/proto/${stem}.proto
    DEPENDS ${PROJECT_SOURCE_DIR}/proto/${stem}.proto
    VERBATIM)
  add_library(warren_proto_${stem} STATIC ${out}/proto/${stem}.pb.cc ${out}/proto/${stem}.pb.h)
  target_include_directories(warren_proto_${stem} SYSTEM PUBLIC ${out})
  target_link_libraries(warren_proto_${stem} PUBLIC protobuf::libprotobuf-lite)
endfunction()

# Compiler and linker flags that every target of this build shares.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-Og -g1")

add_compile_options(-fno-omit-frame-pointer -fstack-protector-strong)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
# glibc refuses _FORTIFY_SOURCE without optimisation and it hides findings from ASan.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT WARREN_SANITIZE)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-clash-protection)
endif()

add_link_options(-fuse-ld=lld -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)

if(WARREN_SANITIZE)
  add_compile_options(-fsanitize=${WARREN_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${WARREN_SANITIZE})
endif()
if(WARREN_BUILD_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# What our own sources are held to. Headers of packages are system headers.
set(WARREN_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Werror)

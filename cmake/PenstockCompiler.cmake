# How every target of the project is compiled. Users of the installed package get none of this.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(penstock_build_flags INTERFACE)
target_compile_options(penstock_build_flags INTERFACE
  -Wall -Wextra -Wpedantic $<$<BOOL:${PENSTOCK_WARNINGS_AS_ERRORS}>:-Werror>
  # Tracebacks and logs then name files as the repository does, on every machine.
  -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives from its own coroutine frames and inlined std::string code.
  target_compile_options(penstock_build_flags INTERFACE -Wno-maybe-uninitialized -Wno-restrict)
endif()
if(PENSTOCK_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Asio fences memory in a way that GCC's ThreadSanitizer does not model; its own queues are locked all the same.
  target_compile_options(penstock_build_flags INTERFACE -Wno-tsan)
endif()
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_build_flags INTERFACE -fsanitize=${PENSTOCK_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(penstock_build_flags INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
endif()

# What every target of the project has in common.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(CURL REQUIRED)
find_package(LibArchive REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(BLKID REQUIRED IMPORTED_TARGET blkid)
pkg_check_modules(FDISK REQUIRED IMPORTED_TARGET fdisk)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)

# At the top, not in the function below: the module keeps the path of its script in a variable.
if(BEDPLATE_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(bedplate_options INTERFACE)
target_compile_options(bedplate_options INTERFACE -Wall -Wextra -Wconversion -Werror)
target_include_directories(bedplate_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(bedplate_options INTERFACE _FILE_OFFSET_BITS=64
  BEDPLATE_VERSION="${PROJECT_VERSION}")
if(BEDPLATE_SANITIZE)
  target_compile_options(bedplate_options INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=all -fno-omit-frame-pointer
    # g++ 12 takes what the sanitizers add to std::regex for uses of uninitialized values.
    -Wno-maybe-uninitialized)
  target_link_options(bedplate_options INTERFACE -fsanitize=address,undefined)
endif()
if(BEDPLATE_FUZZ)
  target_compile_options(bedplate_options INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
    # libstdc++ 12's own std::stable_sort uses what it calls deprecated.
    -Wno-deprecated-declarations)
  target_link_options(bedplate_options INTERFACE -fsanitize=address,undefined)
endif()

# bedplate_library(<name> SOURCES … LIBS …): a static library with our options.
function(bedplate_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC bedplate_options ${ARG_LIBS})
endfunction()

# bedplate_unit(<name> SOURCES … LIBS …): a GoogleTest program; each test is one CTest entry with
# the label "unit".
function(bedplate_unit name)
  if(NOT BEDPLATE_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  if(NOT ARG_SOURCES)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE bedplate_options ${ARG_LIBS} GTest::gmock GTest::gtest
    GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE BEDPLATE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  gtest_discover_tests(${name} PROPERTIES LABELS unit DISCOVERY_TIMEOUT 60)
endfunction()

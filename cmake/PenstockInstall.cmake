# Installs every room with its public headers, the commands when they are built, and the CMake package, so that
#
#   find_package(penstock COMPONENTS http)
#   target_link_libraries(my_server PRIVATE penstock::http)
#
# finds a room, the rooms below it, and only the third-party packages that these need.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/penstock)
get_property(PENSTOCK_ROOMS GLOBAL PROPERTY PENSTOCK_ROOMS)
set(PENSTOCK_ROOM_TABLE "")
foreach(room IN LISTS PENSTOCK_ROOMS)
  get_property(closure GLOBAL PROPERTY PENSTOCK_CLOSURE_${room})
  get_property(finders GLOBAL PROPERTY PENSTOCK_FINDERS_${room})
  list(REMOVE_DUPLICATES finders)
  list(JOIN finders "\n  " finders)
  string(APPEND PENSTOCK_ROOM_TABLE
    "set(penstock_${room}_rooms ${closure})\nmacro(penstock_${room}_finders)\n  ${finders}\nendmacro()\n")
  install(TARGETS penstock_${room} EXPORT penstock_${room} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT penstock_${room} NAMESPACE penstock:: FILE penstock_${room}.cmake DESTINATION ${package_dir})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/penstock/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/penstock
          FILES_MATCHING PATTERN "*.h")
endforeach()
if(TARGET penstock)
  install(TARGETS penstock penstock-chaos RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/penstockConfig.cmake.in
  ${PROJECT_BINARY_DIR}/penstockConfig.cmake INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/penstockConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/penstockConfig.cmake ${PROJECT_BINARY_DIR}/penstockConfigVersion.cmake
        DESTINATION ${package_dir})

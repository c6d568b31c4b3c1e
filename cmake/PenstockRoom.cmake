# penstock_room(<name> [DEPENDS <room>…] [PUBLIC_LINKS <library>…] [PRIVATE_LINKS <library>…])
#
# A room is one static library, penstock::<name>: every .cpp below src/<name>, with the public headers of
# include/penstock/<name>. DEPENDS names the rooms whose headers its public headers include, PUBLIC_LINKS the libraries
# of which they do. The room is installed as a component of the package, with what its links need
# (PenstockInstall.cmake).
function(penstock_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;PUBLIC_LINKS;PRIVATE_LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  add_library(penstock_${name} STATIC ${sources})
  add_library(penstock::${name} ALIAS penstock_${name})
  set_target_properties(penstock_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(penstock_${name} PUBLIC cxx_std_20)
  target_include_directories(penstock_${name}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  foreach(room IN LISTS ROOM_DEPENDS)
    target_link_libraries(penstock_${name} PUBLIC penstock_${room})
  endforeach()
  target_link_libraries(penstock_${name}
    PUBLIC ${ROOM_PUBLIC_LINKS}
    PRIVATE ${ROOM_PRIVATE_LINKS} $<BUILD_INTERFACE:penstock_build_flags>)
  set(links ${ROOM_PUBLIC_LINKS} ${ROOM_PRIVATE_LINKS})
  penstock_remember_room(${name} "${ROOM_DEPENDS}" "${links}")
endfunction()

# Notes the room for the package: its rooms in link order, itself last, and the finders of its own links.
function(penstock_remember_room name depends links)
  set(closure)
  foreach(room IN LISTS depends)
    get_property(rooms GLOBAL PROPERTY PENSTOCK_CLOSURE_${room})
    list(APPEND closure ${rooms})
  endforeach()
  list(APPEND closure ${name})
  list(REMOVE_DUPLICATES closure)
  set_property(GLOBAL PROPERTY PENSTOCK_CLOSURE_${name} ${closure})
  set_property(GLOBAL APPEND PROPERTY PENSTOCK_ROOMS ${name})

  foreach(link IN LISTS links)
    get_property(finder GLOBAL PROPERTY PENSTOCK_FINDER_${link})
    if(NOT finder)
      message(FATAL_ERROR "room ${name} links ${link}: add the penstock_dependency that PROVIDES it to "
                          "cmake/PenstockDependencies.cmake")
    endif()
    set_property(GLOBAL APPEND PROPERTY PENSTOCK_FINDERS_${name} ${finder})
  endforeach()
endfunction()

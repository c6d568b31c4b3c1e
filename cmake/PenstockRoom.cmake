# penstock_room(<name> [DEPENDS <room>…] [PRIVATE_LINKS <library>…])
#
# A room is one static library, penstock::<name>: every .cpp below src/<name>, with the public headers of
# include/penstock/<name>. DEPENDS names the rooms whose headers its public headers include.
function(penstock_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;PRIVATE_LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  if(NOT sources)
    add_library(penstock_${name} INTERFACE)
    add_library(penstock::${name} ALIAS penstock_${name})
    return()
  endif()
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
  target_link_libraries(penstock_${name} PRIVATE ${ROOM_PRIVATE_LINKS} $<BUILD_INTERFACE:penstock_build_flags>)
endfunction()

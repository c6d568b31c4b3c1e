# Installs the build into a new folder, then configures, builds and runs consumer/ against it.
#
#   cmake -D BUILD=… -D SOURCE=… -D WORK=… -D COMPILER=… -D LAUNCHER=… -P check_install.cmake
file(REMOVE_RECURSE ${WORK})

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -G Ninja -S ${SOURCE}/consumer -B ${WORK}/build -D CMAKE_PREFIX_PATH=${WORK}/prefix
    -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)

# A component that does not exist is refused by name.
execute_process(
  COMMAND ${CMAKE_COMMAND} -G Ninja -D CMAKE_PREFIX_PATH=${WORK}/prefix -S ${SOURCE}/misspelt -B ${WORK}/misspelt
  RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_QUIET)
if(code EQUAL 0 OR NOT said MATCHES "no component 'ingets'; it has core, async")
  message(FATAL_ERROR "a misspelt component was not refused by name (exit code ${code}): ${said}")
endif()
file(REMOVE_RECURSE ${WORK})

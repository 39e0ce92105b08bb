# graft_add_plugin(KIND NAME source...): KIND-NAME.so, which exports its descriptor alone.
# KIND is adapter, optimizer or backend. Needs the target graft_sdk (or graft::sdk).
function(graft_add_plugin kind name)
  set(target ${kind}_${name})
  add_library(${target} MODULE ${ARGN})
  if(TARGET graft_sdk)
    target_link_libraries(${target} PRIVATE graft_sdk)
  else()
    target_link_libraries(${target} PRIVATE graft::sdk)
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${kind}-${name} SUFFIX .so C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden)
  if(GRAFT_PLUGIN_DIR)
    set_target_properties(${target} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/${GRAFT_PLUGIN_DIR})
    install(TARGETS ${target} DESTINATION ${GRAFT_PLUGIN_DIR})
  endif()
endfunction()

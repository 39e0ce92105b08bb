# find_package(graft-sdk): the target graft::sdk (headers) and graft_add_plugin().
if(NOT TARGET graft::sdk)
  add_library(graft::sdk INTERFACE IMPORTED)
  set_target_properties(graft::sdk PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CURRENT_LIST_DIR}/@GRAFT_SDK_INCLUDE@")
endif()
include("${CMAKE_CURRENT_LIST_DIR}/graft-plugin.cmake")

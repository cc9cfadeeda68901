# SPDX-License-Identifier: MIT
#
# cmake --install: both libraries, the public headers, htt.pc, and find_package(htt), which gives
# htt::htt (shared) and htt::static.
file(GLOB htt_sql_headers CONFIGURE_DEPENDS sql/htt_*.h)
install(FILES engine/htt.h engine/htt_env.h engine/htt_host.h ext/htt_sqlite.h ${htt_sql_headers}
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS htt_shared htt_static EXPORT htt-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

configure_file(cmake/htt.pc.in htt.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/htt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/htt)
configure_package_config_file(cmake/htt-config.cmake.in htt-config.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(htt-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/htt-config.cmake
    ${PROJECT_BINARY_DIR}/htt-config-version.cmake DESTINATION ${package_dir})
install(EXPORT htt-targets NAMESPACE htt:: DESTINATION ${package_dir})

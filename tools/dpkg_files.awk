# SPDX-License-Identifier: MIT
#
# dpkg's lists of files to rows for sqlite3's ".mode ascii": fields end with 0x1F, rows with 0x1E.
#
#   path  package
#
# A folder that many packages share is the first one's. Each list is named <package>.list or
# <package>:<architecture>.list.
FNR == 1 {
    package = FILENAME
    sub(/^.*\//, "", package)
    sub(/(:[a-z0-9]+)?\.list$/, "", package)
}
$0 != "" && !($0 in seen) {
    seen[$0] = 1
    printf "%s\037%s\036", $0, package
}

# SPDX-License-Identifier: MIT
#
# dpkg's status file, or what "apt-cache dumpavail" prints, to rows for sqlite3's ".mode ascii":
# fields end with 0x1F, rows with 0x1E.
#
#   name  version  section  architecture  installed size (KiB)  depends  description (first line)
#
# Of the status file only installed packages. The second architecture of a package is named
# name:architecture.
BEGIN {
    FS = ": "
    count = split("Version Section Architecture Installed-Size Depends Description", wanted, " ")
}

function finish(    i, name, there) {
    name = value["Package"]
    if (name in seen)
        name = name ":" value["Architecture"]
    there = !("Status" in value) || value["Status"] ~ / installed$/
    if (name != "" && !(name in seen) && there) {
        seen[name] = 1
        printf "%s", name
        for (i = 1; i <= count; i++)
            printf "\037%s", value[wanted[i]]
        printf "\036"
    }
    split("", value)
}

/^$/ { finish(); next }
/^[A-Za-z]/ { value[$1] = substr($0, length($1) + 3) }
END { finish() }

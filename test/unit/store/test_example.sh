#!/bin/sh
# SPDX-License-Identifier: MIT
#
# test_example: what bench/example_log.c says it does, it does. Usage: test_example.sh PROGRAM
set -eu

program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# expect TEXT ARGUMENT...: the program, run on the log with these arguments, prints TEXT.
expect() {
    want=$1
    shift
    got=$("$program" "$folder/log" "$@" 2>&1) || [ $? -eq 1 ]
    if [ "$got" != "$want" ]; then
        printf '%s: wanted\n%s\ngot\n%s\n' "$*" "$want" "$got"
        exit 1
    fi
}

# values TEXT ARGUMENT...: as expect, without the timestamps that `read` prints.
values() {
    want=$1
    shift
    got=$("$program" "$folder/log" "$@" 2>&1 | sed -E 's/^([0-9]+) [0-9]+ /\1 /')
    [ "$got" = "$want" ] || { printf '%s: wanted\n%s\ngot\n%s\n' "$*" "$want" "$got" && exit 1; }
}

expect '' read
printf 'one\ntwo\nthree' | expect 'records stored: 3' append
values '0 one
1 two
2 three' read
printf 'a\nb\n' | expect 'stored at 3' batch 7 0
printf 'a\nb\n' | expect 'was stored before, at 3' batch 7 0
printf 'c\n' | expect "error: $folder/log: the sequence number does not follow the last one" batch 7 9
printf 'c\n' | expect 'stored at 5' batch 7 2
values '4 b
5 c' read 4
expect 'none' since 9000000000000
since=$("$program" "$folder/log" since 1)
[ "${since%% *}" = 0 ] || { echo "since 1: wanted offset 0, got $since" && exit 1; }
expect 'begins at 1' trim 1
expect "error: $folder/log: the log has no such offset" trim 7
expect 'ends at 3' cut 4
printf 'd\n' | expect 'records stored: 1' append
values '1 two
2 three
3 d' read
if "$program" "$folder/log" nonsense 2>/dev/null || "$program" "$folder/log" trim x 2>/dev/null; then
    echo 'nonsense was taken' && exit 1
fi
echo 'all as promised'

# SPDX-License-Identifier: MIT
"""shell: what the program makes of its own pages: completions and the manual."""
import shutil
import subprocess

import harness

ASK = """source /dev/stdin <<'END'
{script}
END
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _kauri; echo "${{COMPREPLY[@]}}"
"""


def kauri(*words):
    return subprocess.run([str(harness.KAURI), *words], capture_output=True, text=True, check=True).stdout


def case_bash(t):
    """Commands, subcommands, options, asked of bash itself."""
    script = kauri("completion", "bash")
    for words, wanted in (("kauri sn", "snapshot"), ("kauri topic cr", "create"),
                          ("kauri topic create --parti", "--partitions"), ("kauri -v topic create --jso", "--json"),
                          ("kauri config ex", "explain"), ("kauri snapshot --res", "--restore"),
                          ("kauri group seek g --t", "--to --topic --timeout")):
        done = subprocess.run(["bash", "-c", ASK.format(script=script, words=words)], capture_output=True, text=True)
        t.check.that(f"{words} TAB", sorted(done.stdout.split()) == sorted(wanted.split()) and not done.stderr, done)


def case_others(t):
    """zsh and fish take their scripts."""
    for shell in ("zsh", "fish"):
        script = kauri("completion", shell)
        t.check.that(f"{shell}: it names what there is", all(word in script for word in
                     ("snapshot", "explain", "--partitions" if shell == "zsh" else "-l partitions")), script[:300])
        if not shutil.which(shell):
            t.check.skip(f"{shell} reads it", f"no {shell} here")
            continue
        done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
        t.check.that(f"{shell} reads it", done.returncode == 0 and not done.stderr, done)


def case_manual(t):
    """man(1) formats it without a complaint, and all commands are in it."""
    page = kauri("help", "man")
    for word in ("kauri serve", "kauri topic create", "kauri snapshot", "exit\\-codes", "kauri.conf"):
        t.check.that(f"it tells of {word}", word in page or word.replace("\\", "") in page, page[:200])
    if not shutil.which("man"):
        t.check.skip("the page", "no man(1) here")
        return
    done = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True)
    t.check.that("man --warnings", done.returncode == 0 and not done.stderr and "COMMANDS" in done.stdout, done.stderr)

# SPDX-License-Identifier: MIT
"""check: the rules of the source that need no compiler. .ci/check runs them and tests them.

A rule takes a Source (one file, split into code, directives and functions) and gives back
violations (file, line, what). The parser leans on clang-format, which is checked first: comments
and strings are blanked, directives taken out, and a brace at depth 0 behind a parameter list opens
a function. It knows no C beyond that.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

# ---- The map of the layers: folder -> the folders it may include (its own always). -------------
ENGINE = ("engine/base", "engine/store", "engine/meta", "engine/broker")
NET_DOWN = ("proto", "engine/broker", "engine/store", "engine/base")
LAYERS = {
    "engine/base": (),
    "engine/store": ("engine/base",),
    "engine/meta": ("engine/base",),
    "engine/broker": ("engine/store", "engine/meta", "engine/base"),
    "proto": ("engine/base",),
    "net/loop": NET_DOWN,
    "net/client": NET_DOWN,
    "net/conn": ("engine/base",),
    "net/cargo": NET_DOWN,
    "net/nano": NET_DOWN + ("net/loop", "net/cargo"),
    "net/kafka": NET_DOWN + ("net/loop", "net/conn"),
    "net/http": NET_DOWN + ("net/conn",),
    "net/ship": NET_DOWN + ("net/loop", "net/client", "net/cargo"),
}
FREE = ("cli", "test", "bench")  # may include every layer
# Foreign headers that are kept in one place; the tests of a front may drive the other end.
FOREIGN = {
    "lmdb.h": ("engine/meta",),
    "uv.h": ("net", "cli", "test", "bench"),
    "microhttpd.h": ("net/http",),
    "openssl/": ("net/cargo", "test"),
    "nanomsg/": ("net/nano", "net/client", "test", "bench"),
}
# Headers that the build writes, included like the others from the root.
GENERATED = re.compile(r"proto/(?:\w+\.pb-c|kafka/kp_gen)\.h")

# ---- Names: a function that others see starts with its file's name, or with a leading part of it
# up to an underscore (io_real.c: io_); or it is declared by the public header of its folder, which is
# named after the project or the folder. The exceptions, which are second words of their file:
PREFIXES = {"engine/base/bytes.c": ("buf", "slice")}
PROJECT = "kauri"
PREFIX_FOLDERS = ("engine", "proto", "net", "cli")
ENTRY_POINTS = ("main",)

FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = {"c": 100, "script": 120}
ASSERTS_MIN = 1.5
BANNED = "strcpy strcat sprintf vsprintf strtok atoi atol alloca gets".split()
CLANG_FORMAT_MAJOR = 14  # others lay out differently

BLANK = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
INCLUDE = re.compile(r"[ \t]*#[ \t]*include[ \t]*([\"<])([^\">]+)[\">]")


def spaces(match):
    return re.sub(r"[^\n]", " ", match.group())


class Function:
    def __init__(self, name, static, first, last):
        self.name, self.static, self.first, self.last = name, static, first, last


class Source:
    """One file: raw `lines`; and of C: `code` (no comments, no strings), `plain` (code without
    directives), `directives` as (line, text) and `functions`."""

    def __init__(self, root, path):
        self.path = path
        self.text = (root / path).read_text(errors="replace")
        self.lines = self.text.splitlines()
        self.kind = kind_of(path, self.text)
        self.functions, self.directives = [], []
        if self.kind == "c":
            self.code = BLANK.sub(spaces, self.text)
            self.directives = [(self.line_of(m.start()), m.group())
                               for m in DIRECTIVE.finditer(self.code)]
            self.plain = ATTRIBUTE.sub(spaces, DIRECTIVE.sub(spaces, self.code))
            self.functions = list(find_functions(self))

    def line_of(self, pos):
        return self.text.count("\n", 0, pos) + 1


def kind_of(path, text):
    """"c", "script" (everything else that carries a licence line) or None."""
    name = os.path.basename(path)
    if name.endswith((".c", ".h")):
        return "c"
    if name == "meson.build" or name.endswith((".py", ".sh", ".proto")) or text.startswith("#!"):
        return "script"
    return None


def find_functions(source):
    depth, head, start = 0, 0, None
    for m in re.finditer(r"[{};]", source.plain):
        if m.group() == "{":
            if depth == 0:
                start = function_head(source.plain[head:m.start()], head)
            depth += 1
        elif m.group() == "}":
            depth -= 1
        if depth == 0 and m.group() != "{":
            if start and m.group() == "}":
                name, static, pos = start
                yield Function(name, static, source.line_of(pos), source.line_of(m.start()))
            head, start = m.end(), None


def function_head(text, at):
    """(name, static, position) when the text before a brace is a function's; else None."""
    lead = re.match(r"\s*(?:END_TEST\s+)?", text).end()
    body = text[lead:].rstrip()
    call = re.search(r"(\w+)\s*\(", body)
    if not body.endswith(")") or call is None or "=" in body[:call.start()]:
        return None
    words = body[:call.start()].split()
    test = call.group(1) in ("START_TEST",)
    return call.group(1), test or "static" in words, at + lead


def layer_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("engine", "net") else parts[0]


def under(path, folders):
    return any(path == f or path.startswith(f + "/") for f in folders)


# ---- The rules ---------------------------------------------------------------------------------
def rule_includes(source, root):
    layer = layer_of(source.path)
    if source.kind == "c" and layer not in LAYERS and layer not in FREE:
        yield 1, f"folder {layer} has no row in the map of the layers"
        return
    for line, _ in source.directives:
        m = INCLUDE.match(source.lines[line - 1])
        if m is None:
            continue
        what = foreign_fault(source, m.group(2)) if m.group(1) == "<" else \
            own_fault(source, root, layer, m.group(2))
        if what:
            yield line, what


def foreign_fault(source, header):
    if header.startswith(("engine/", "net/", "proto/", "cli/")):
        return f"<{header}> is ours: include it with quotes"
    for prefix, folders in FOREIGN.items():
        if header.startswith(prefix) and not under(source.path, folders):
            return f"<{header}> may be included only in {', '.join(folders)}"
    return None


def beside(source, root, header):
    """A test may name the headers of its own folder plainly."""
    plain = source.path.startswith("test/") and "/" not in header
    return plain and (root / source.path).with_name(header).is_file()


def private_to(source, header):
    """A private header is its folder's, and that of the unit tests which mirror the folder."""
    folder = os.path.dirname(header)
    mirror = "test/unit/" + os.path.basename(folder)
    return os.path.dirname(source.path) in (folder, mirror)


def own_fault(source, root, layer, header):
    if beside(source, root, header):
        return None
    target = layer_of(header)
    if target not in LAYERS and target not in FREE:
        return f'"{header}" is not a path from the root'
    if not (root / header).is_file() and not GENERATED.fullmatch(header):
        return f'"{header}" does not exist'
    if layer not in FREE and target != layer and target not in LAYERS[layer]:
        return f"{layer} may not include {target}"
    if header.endswith("_priv.h") and not private_to(source, header):
        return f'"{header}" is private to its folder'
    return None


def rule_lengths(source, root):
    if source.kind == "c" and len(source.lines) > FILE_LINES_MAX:
        yield 1, f"{len(source.lines)} lines, at most {FILE_LINES_MAX}"
    for f in source.functions:
        count = f.last - f.first + 1
        if count > FUNCTION_LINES_MAX and not long_reason(source, f):
            yield f.first, f"function {f.name} has {count} lines, at most {FUNCTION_LINES_MAX}"
    columns = COLUMNS_MAX.get(source.kind, 0)
    for number, line in enumerate(source.lines, 1):
        if columns and len(line) > columns:
            yield number, f"{len(line)} columns, at most {columns}"


def long_reason(source, function):
    """True when the comment right above the function says `long:` and why."""
    at, comment = function.first - 2, []
    while at >= 0 and re.match(r"\s*(/\*|\*|//)", source.lines[at]):
        comment.insert(0, source.lines[at])
        if "/*" in source.lines[at]:
            break
        at -= 1
    return re.search(r"\blong: *\w+", " ".join(comment)) is not None


def rule_banned(source, root):
    if source.kind != "c":
        return
    for m in re.finditer(r"\b(?:goto|" + "|".join(BANNED) + r")\b", source.code):
        word = m.group()
        yield source.line_of(m.start()), "goto" if word == "goto" else f"{word} is banned"
    for line, text in source.directives:
        inside = any(f.first < line < f.last for f in source.functions)
        if inside and re.match(r"\s*#\s*if", text):
            yield line, "#if inside a function"


def rule_licence(source, root):
    if source.kind and not any("SPDX-License-Identifier: MIT" in l for l in source.lines[:5]):
        yield 1, "no SPDX-License-Identifier line at the top"


def public_names(root, folder):
    """The functions that the public headers of a folder declare."""
    names = set()
    for stem in {PROJECT, os.path.basename(folder)}:
        header = root / folder / f"{stem}.h"
        if header.is_file():
            code = DIRECTIVE.sub(spaces, BLANK.sub(spaces, header.read_text(errors="replace")))
            names.update(re.findall(r"\b(\w+)\s*\(", ATTRIBUTE.sub(spaces, code)))
    return names


def rule_names(source, root):
    if not source.path.endswith(".c") or not under(source.path, PREFIX_FOLDERS):
        return
    stem = os.path.basename(source.path)[:-2].split("_")
    allowed = ["_".join(stem[:n]) for n in range(1, len(stem) + 1)]
    allowed += PREFIXES.get(source.path, ())
    public = public_names(root, os.path.dirname(source.path))
    for f in source.functions:
        fits = any(f.name == p or f.name.startswith(p + "_") for p in allowed)
        if not f.static and not fits and f.name not in public and f.name not in ENTRY_POINTS:
            yield f.first, f"function {f.name} does not start with {' or '.join(allowed)}"


RULES = (rule_includes, rule_lengths, rule_banned, rule_licence, rule_names)


def density(sources):
    """(asserts, functions, fault or None) over the .c files of the engine."""
    rows = []
    for s in sources:
        if s.path.startswith("engine/") and s.path.endswith(".c"):
            count = len(re.findall(r"\bASSERT\s*\(", s.plain))
            rows.append((count - ASSERTS_MIN * len(s.functions), count, len(s.functions), s.path))
    asserts, functions = sum(r[1] for r in rows), sum(r[2] for r in rows)
    if asserts >= ASSERTS_MIN * functions:
        return asserts, functions, None
    poor = ", ".join(f"{r[3]} ({r[1]} in {r[2]})" for r in sorted(rows)[:3])
    return asserts, functions, ("engine", 1, f"{asserts / functions:.2f} ASSERT per function, at "
                                f"least {ASSERTS_MIN}; poorest: {poor}")


def format_faults(root, paths):
    """Violations by clang-format, the first of each file; and a remark when it could not run."""
    tool = shutil.which("clang-format")
    version = subprocess.run([tool, "--version"], stdout=subprocess.PIPE, text=True).stdout \
        if tool else ""
    m = re.search(r"version (\d+)", version)
    if m is None or int(m.group(1)) != CLANG_FORMAT_MAJOR:
        have = f"is {m.group(1)}" if m else "is missing"
        return [], f"layout not checked: clang-format {have}, wanted {CLANG_FORMAT_MAJOR}"
    if not paths:
        return [], None
    done = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", *paths], cwd=root,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    first = {}
    for path, line in re.findall(r"^(\S[^:\n]*):(\d+):\d+: error: ", done.stderr, re.M):
        first.setdefault(path, int(line))
    if done.returncode != 0 and not first:
        return [(paths[0], 1, f"clang-format failed: {done.stderr.strip()}")], None
    return [(p, n, "layout: run clang-format -i") for p, n in first.items()], None


def list_files(root):
    """What git tracks or would track; without git, everything outside build folders."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        out = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
        names = set(out.stdout.split("\0")) - {""}
    else:
        names = {str(p.relative_to(root)) for p in root.rglob("*")}
        names = {n for n in names if not n.startswith(("build", ".git/"))}
    return sorted(n for n in names if (root / n).is_file() and not (root / n).is_symlink())


def run(root):
    """All rules over a tree: (files, violations, remarks)."""
    root = Path(root)
    sources = [Source(root, p) for p in list_files(root)]
    sources = [s for s in sources if s.kind]
    faults, remark = format_faults(root, [s.path for s in sources if s.kind == "c"])
    for s in sources:
        faults += [(s.path, line, what) for rule in RULES for line, what in rule(s, root)]
    asserts, functions, poor = density(sources)
    faults += [poor] if poor else []
    remarks = [remark] if remark else []
    if functions:
        remarks.append(f"{asserts / functions:.2f} ASSERT per function in engine "
                       f"({asserts} in {functions})")
    return len(sources), faults, remarks

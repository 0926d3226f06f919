#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""gen: reads the schema of Kafka's messages (*.kdl) and writes it as C, and as a digest.

    gen.py code HEADER SOURCE FILE.kdl ...       kp_gen.h and kp_gen.c
    gen.py digest FILE.kdl ...                   the digest, to standard output
    gen.py check DIGEST FILE.kdl ...             compares with a committed digest; fails when it differs

The notation, a line each; `#` starts a comment, deeper indentation is inside:

    api NAME KEY  known A-B  offer A-B|none  flexible N|never  [bare]    then `request` and `response`
    header request|response  known A-B  flexible N                   its fields follow
    FIELD TYPE  [VERSIONS]  [tagN]  [= DEFAULT]  [plain]

    TYPE      bool i8 i16 u16 i32 i64 f64 uuid string bytes, or a new name: a struct, its fields inside;
              [TYPE] is a list; TYPE? may be null, TYPE?N from version N on
    VERSIONS  v3+ v3-7 v-7 v3: where the field is on the wire, within those of its parent
    tagN      tagged field N, of the flexible versions
    DEFAULT   value where the field is not on the wire: a number or true. Without it 0, false, empty; null
              for what may be null
    plain     keeps the sizes of the versions that are not flexible
    known     versions that are decoded; offer: those that ApiVersions tells. `none`: it does not tell
              the key, and the front answers it no more than a key it has never heard of
    bare      answers carry response header 0 always

The digest has a line per message and version, with a hash over its exact layout: what a change of the
schema or of this program does to the wire is seen in review. A fault is told with its file and line.
"""
import difflib
import hashlib
import re
import sys
from pathlib import Path

# type -> (C type, list type, size on the wire where it is fixed)
BASE = {"bool": ("bool", "kp_bools", 1), "i8": ("int8_t", "kp_i8s", 1),
        "i16": ("int16_t", "kp_i16s", 2), "u16": ("uint16_t", "kp_u16s", 2),
        "i32": ("int32_t", "kp_i32s", 4), "i64": ("int64_t", "kp_i64s", 8),
        "f64": ("double", "kp_f64s", 8),
        "uuid": ("struct kp_uuid", "kp_uuids", 16), "string": ("struct slice", "kp_slices", None),
        "bytes": ("struct slice", "kp_slices", None)}
INTS = {"i8": 8, "i16": 16, "u16": 16, "i32": 32, "i64": 64}
NEVER = 255  # as a version: none
VERSION_MAX = 100
DEPTH_MAX = 6
KEYWORDS = set("auto break case char const continue default do double else enum extern float for goto if "
               "inline int long register return short signed sizeof static struct switch typedef union "
               "unsigned void volatile while bool".split())
NAME = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"


class Bad(Exception):
    """A fault of the schema."""


class Field:
    """`lo` to `hi` are the versions it is on the wire, within its parent's; `sub` its struct."""
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.type = self.text = ""
        self.sub, self.list, self.plain = None, False, False
        self.lo = self.hi = self.null_from = self.tag = self.default = None


class Struct:
    """`name` is the C name without kp_; plain fields come first, then tagged ones by number."""
    def __init__(self, name, lo, hi, line):
        self.name, self.lo, self.hi, self.line, self.fields = name, lo, hi, line, []

    def plain(self):
        return [f for f in self.fields if f.tag is None]

    def tagged(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)


class Api:
    def __init__(self, name, words, line):
        self.name, self.line, self.bare = name, line, False
        self.known = self.offer = self.flexible = self.key = None
        self.messages = {}
        self.words(words)

    def words(self, words):
        while words:
            word = words.pop(0)
            if word == "bare":
                self.bare = True
            elif word in ("known", "offer") and words:
                text = words.pop(0)
                nothing = word == "offer" and text == "none"
                setattr(self, word, (NEVER, NEVER) if nothing else span(text, self.line))
            elif word == "flexible" and words:
                self.flexible = NEVER if words[0] == "never" else number(words[0], self.line)
                words.pop(0)
            else:
                raise Bad(f"{self.line}: '{word}' is not understood")
        if self.known is None or self.flexible is None:
            raise Bad(f"{self.line}: known and flexible are wanted")

    def offers_known(self):
        """It may begin lower, never end higher."""
        return self.offer is not None and (self.offer[0] == NEVER or self.offer[1] <= self.known[1])

    def flex(self, version):
        return version >= self.flexible


def number(text, line):
    if not re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", text):
        raise Bad(f"{line}: '{text}' is not a number")
    return int(text, 0)


def span(text, line):
    m = re.fullmatch(r"(\d+)-(\d+)", text)
    if m is None or not int(m[1]) <= int(m[2]) <= VERSION_MAX:
        raise Bad(f"{line}: '{text}' is not a range of versions")
    return int(m[1]), int(m[2])


# ---- Reading ------------------------------------------------------------------------------------
class Reader:
    def __init__(self):
        self.apis, self.headers, self.structs = [], [], []
        self.api = self.stack = None

    def read(self, path):
        self.api = self.stack = None
        for n, raw in enumerate(Path(path).read_text().splitlines(), 1):
            line = f"{path}:{n}"
            text = raw.split("#", 1)[0].rstrip()
            if "\t" in text:
                raise Bad(f"{line}: a tab")
            if text:
                self.take(len(text) - len(text.lstrip()), text.split(), line)

    def take(self, indent, words, line):
        if indent > 0:
            self.field(indent, words, line)
        elif words[0] == "api" and len(words) > 2 and re.fullmatch(NAME, words[1]):
            self.api = Api(words[1], words[3:], line)
            self.api.key = number(words[2], line)
            if not self.api.offers_known() or self.api.key < 0:
                raise Bad(f"{line}: an api wants a key and an offer within what is known")
            self.apis.append(self.api)
            self.stack = None
        elif words[0] == "header" and len(words) > 1 and words[1] in ("request", "response"):
            self.api = Api(words[1], words[2:], line)
            self.headers.append(self.api)
            self.message("header", words[1] + "_header", line)
        elif words[0] in ("request", "response") and len(words) == 1 and self.api in self.apis:
            self.message(words[0], f"{self.api.name}_{words[0]}", line)
        else:
            raise Bad(f"{line}: '{' '.join(words)}' is not understood")

    def message(self, what, name, line):
        if what in self.api.messages:
            raise Bad(f"{line}: a second {what}")
        self.api.messages[what] = self.root = self.struct(name, *self.api.known, line)
        self.stack = [(0, self.root)]

    def struct(self, name, lo, hi, line):
        if any(s.name == name for s in self.structs):
            raise Bad(f"{line}: there is a struct {name} already")
        s = Struct(name, lo, hi, line)
        self.structs.append(s)
        return s

    def field(self, indent, words, line):
        if self.stack is None:
            raise Bad(f"{line}: a field outside of a message")
        parent_indent, parent = self.parent(indent, line)
        if len(words) < 2 or not re.fullmatch(NAME, words[0]) or words[0] in KEYWORDS:
            raise Bad(f"{line}: a field is NAME TYPE")
        if any(f.name == words[0] for f in parent.fields):
            raise Bad(f"{line}: a second field {words[0]}")
        f = Field(words[0], line)
        f.lo, f.hi = parent.lo, parent.hi
        self.attributes(f, words[2:])
        self.type(f, words[1])
        self.rules(f, parent)
        parent.fields.append(f)
        if f.sub is not None:
            self.stack.append((indent, f.sub))
            if len(self.stack) > DEPTH_MAX:
                raise Bad(f"{line}: deeper than {DEPTH_MAX}")

    def parent(self, indent, line):
        while self.stack[-1][0] >= indent:
            self.stack.pop()
        at, parent = self.stack[-1]
        first = next((f for f in parent.fields), None)
        if first is not None and first.indent != indent or indent % 4 != 0:
            raise Bad(f"{line}: indentation fits no field above")
        self.indent = indent
        return at, parent

    def attributes(self, f, words):
        f.indent = self.indent
        while words:
            word = words.pop(0)
            if word == "plain":
                f.plain = True
            elif re.fullmatch(r"tag\d+", word):
                f.tag = int(word[3:])
            elif word == "=" and words:
                value = words.pop(0)
                f.default = 1 if value == "true" else number(value, f.line)
            elif re.fullmatch(r"v\d*[-+]?\d*", word) and word not in ("v", "v-", "v+"):
                self.versions(f, word[1:])
            else:
                raise Bad(f"{f.line}: '{word}' is not understood")

    def versions(self, f, text):
        m = re.fullmatch(r"(\d*)(?:(\+)|-(\d+))?", text)
        if m is None:
            raise Bad(f"{f.line}: 'v{text}' is not a range of versions")
        lo = int(m[1]) if m[1] else f.lo
        hi = f.hi if m[2] else int(m[3]) if m[3] else lo
        if not f.lo <= lo <= hi <= f.hi:
            raise Bad(f"{f.line}: 'v{text}' is not within {f.lo}-{f.hi}")
        f.lo, f.hi = lo, hi

    def type(self, f, text):
        m = re.fullmatch(rf"(\[?)({NAME})(\]?)(?:\?(\d*))?", text)
        if m is None or (m[1] == "[") != (m[3] == "]"):
            raise Bad(f"{f.line}: '{text}' is not a type")
        f.text, f.type, f.list = text, m[2], m[1] == "["
        f.null_from = NEVER if m[4] is None else int(m[4] or 0)
        if f.type not in BASE:
            f.sub = self.struct(f"{self.root.name}_{f.type}", f.lo, f.hi, f.line)

    def rules(self, f, parent):
        """What a field must not be."""
        nullable = f.null_from != NEVER
        if nullable and not f.list and f.type in BASE and f.type not in ("string", "bytes"):
            raise Bad(f"{f.line}: a {f.type} cannot be null")
        if nullable and f.sub and not f.list and f.null_from > f.lo:
            raise Bad(f"{f.line}: a struct may be null from its first version or never")
        if f.default is not None and (f.list or f.type not in (*INTS, "bool")):
            raise Bad(f"{f.line}: only a number or a bool has a default of its own")
        if f.type in INTS and f.default is not None:
            low = 0 if f.type == "u16" else -(1 << INTS[f.type] - 1)
            if not low <= f.default < low + (1 << INTS[f.type]):
                raise Bad(f"{f.line}: {f.default} is not an {f.type}")
        if f.plain and (f.list or f.type not in ("string", "bytes")):
            raise Bad(f"{f.line}: only a string or bytes can be plain")
        if f.tag is not None:
            if not self.api.flex(f.lo):
                raise Bad(f"{f.line}: tagged in a version that is not flexible")
            if any(o.tag == f.tag for o in parent.fields):
                raise Bad(f"{f.line}: a second tag {f.tag}")
            if f.tag >= NEVER:
                raise Bad(f"{f.line}: tag {f.tag} is too large")

    def finish(self):
        for s in self.structs:
            if not s.fields and not s.name.endswith("_request"):
                raise Bad(f"{s.line}: struct {s.name} has no fields")
        for api in self.apis:
            if set(api.messages) != {"request", "response"}:
                raise Bad(f"{api.line}: an api has a request and a response")
            if sum(o.key == api.key or o.name == api.name for o in self.apis) > 1:
                raise Bad(f"{api.line}: there are two of them")
        if sorted(h.name for h in self.headers) != ["request", "response"]:
            raise Bad("the two headers are wanted")
        self.apis.sort(key=lambda api: api.key)
        for api in self.apis + self.headers:
            for s in api.messages.values():
                self.lists(api, s)

    def lists(self, api, s):
        """A list of nothing would have no bound."""
        for f in s.fields:
            if f.list and f.sub and min_size(api, f.sub) == 0:
                raise Bad(f"{f.line}: an element of {f.name} may have no byte")
            if f.sub:
                self.lists(api, f.sub)


def read(paths):
    reader = Reader()
    for path in paths:
        reader.read(path)
    reader.finish()
    return reader


# ---- Sizes and digest ---------------------------------------------------------------------------
def field_size(api, f, version):
    """The fewest bytes of a plain field."""
    flex = api.flex(version) and not f.plain
    if f.list:
        return 1 if flex else 4
    if f.sub:
        return 1 if f.null_from <= version else struct_size(api, f.sub, version)
    return BASE[f.type][2] or (1 if flex else 2 if f.type == "string" else 4)


def struct_size(api, s, version):
    fields = [f for f in s.plain() if f.lo <= version <= f.hi]
    return sum(field_size(api, f, version) for f in fields) + api.flex(version)


def min_size(api, s):
    """Over all versions."""
    return min(struct_size(api, s, v) for v in range(s.lo, s.hi + 1))


def layout(api, s, version):
    """The exact layout of one version, as text."""
    out = []
    for f in s.plain() + s.tagged():
        if not f.lo <= version <= f.hi:
            continue
        text = f.name + ":" + ("[" if f.list else "") + (f.type if not f.sub else layout(api, f.sub, version))
        text += ("]" if f.list else "") + ("?" if f.null_from <= version else "") + ("plain" if f.plain else "")
        out.append(text + (f"@{f.tag}={f.default or 0}" if f.tag is not None else ""))
    return "(" + " ".join(out) + (" flexible" if api.flex(version) else "") + ")"


def digest(reader):
    lines = []
    for api in reader.headers + reader.apis:
        for what, s in api.messages.items():
            for v in range(api.known[0], api.known[1] + 1):
                # Response header 0 is a word about the api, not about its body.
                text = layout(api, s, v) + (" bare" if api.bare and what == "response" else "")
                key = "-" if api.key is None else api.key
                lines.append(f"{key} {s.name} {v} {hashlib.sha256(text.encode()).hexdigest()[:16]}")
    return "\n".join(lines) + "\n"


# ---- C ------------------------------------------------------------------------------------------
HEAD = "/* SPDX-License-Identifier: MIT\n *\n * {name}: {what}, written by gen.py from the schema. Do not edit.\n */\n"


def c_init(s):
    """The initializer of a struct, without braces; empty when all is zero."""
    parts = []
    for f in s.fields:
        if f.list and f.null_from != NEVER:
            parts.append(f".{f.name} = {{NULL, -1}}")
        elif f.sub and not f.list and f.null_from == NEVER and c_init(f.sub):
            parts.append(f".{f.name} = {{{c_init(f.sub)}}}")
        elif f.default:
            parts.append(f".{f.name} = {c_number(f.default)}")
    return ", ".join(parts)


def c_number(value):
    return "INT64_MIN" if value == -(1 << 63) else f"INT64_C({value})" if abs(value) >> 31 else str(value)


def c_member(f):
    if f.list and f.sub:
        return f"struct {{ const struct kp_{f.sub.name} *v; int32_t count; }} {f.name};"
    if f.sub:
        return f"const struct kp_{f.sub.name} *{f.name};" if f.null_from != NEVER else \
            f"struct kp_{f.sub.name} {f.name};"
    if f.list:
        return f"struct {BASE[f.type][1]} {f.name};"
    return f"{BASE[f.type][0]} {f.name};"


def c_struct(s):
    members = [f"    {c_member(f)} /* {f.text} v{f.lo}-{f.hi}"
               f"{'' if f.tag is None else f' tag {f.tag}'} */" for f in s.fields]
    # C wants a member; the request that says nothing has one that is never used.
    members = members or ["    uint8_t nothing;"]
    return "\n".join([f"struct kp_{s.name} {{", *members, "};",
                      f"#define KP_{s.name.upper()}_INIT {{{c_init(s) or '0'}}}", ""])


def inner_first(s):
    for f in s.fields:
        if f.sub:
            yield from inner_first(f.sub)
    yield s


def c_header(reader):
    roots = [s for api in reader.headers + reader.apis for s in api.messages.values()]
    names = ", ".join(f"KP_API_{a.name.upper()}" for a in reader.apis)
    out = [HEAD.format(name="kp_gen", what="Kafka's messages as structs"), "#pragma once\n",
           '#include "proto/kafka/kp_types.h"\n', f"enum kp_api {{ {names} }};",
           f"#define KP_API_COUNT {len(reader.apis)}\n"]
    out += [c_struct(s) for root in roots for s in inner_first(root)]
    out += ["/* Room for any message. */", "union kp_any {",
            *(f"    struct kp_{s.name} {s.name};" for s in roots), "};"]
    return "\n".join(out) + "\n"


def c_field(f, s, index, defaults):
    kind = "STRUCT" if f.sub else f.type.upper()
    flags = " | ".join(n for n, on in (("KP_FIELD_LIST", f.list), ("KP_FIELD_PLAIN", f.plain)) if on) or "0"
    sub = index[f.sub.name] if f.sub else 0
    return (f"    {{KP_TYPE_{kind}, {flags}, {f.lo}, {f.hi}, {f.null_from}, {f.tag or 0}, "
            f"offsetof(struct kp_{s.name}, {f.name}), {sub}, {defaults.index(f.default or 0)}}},")


def c_source(reader):
    order = [(api, s) for api in reader.headers + reader.apis for root in api.messages.values()
             for s in inner_first(root)]
    index = {s.name: i for i, (_, s) in enumerate(order)}
    defaults = sorted({f.default or 0 for _, s in order for f in s.fields}, key=lambda d: (d != 0, d))
    fields, names, structs = [], [], []
    for api, s in order:
        low = min_size(api, s)
        structs.append(f"    {{{len(names)}, {len(s.plain())}, {len(s.tagged())}, {low}, sizeof(struct kp_{s.name})}},"
                       f" /* {index[s.name]} {s.name} */")
        for f in s.plain() + s.tagged():
            fields.append(c_field(f, s, index, defaults))
            names.append(f'    "{f.name}",')
    out = [HEAD.format(name="kp_gen", what="the tables of Kafka's messages"),
           '#include "proto/kafka/kp_gen.h"\n', '#include "proto/kafka/kp_priv.h"\n',
           "const int64_t kp_defaults[] = {" + ", ".join(map(c_number, defaults)) + "};\n",
           "const struct kp_field kp_fields[] = {", *fields, "};\n",
           "const char *const kp_names[] = {", *names, "};\n",
           "const struct kp_struct kp_structs[] = {", *structs, "};\n",
           "const struct kp_api_row kp_apis[KP_API_COUNT] = {"]
    for a in reader.apis:
        camel = "".join(word.capitalize() for word in a.name.split("_"))
        out.append(f'    {{"{camel}", {a.key}, {a.known[0]}, {a.known[1]}, {a.offer[0]}, {a.offer[1]}, '
                   f"{a.flexible}, {str(a.bare).lower()}, "
                   f"{{{index[a.name + '_request']}, {index[a.name + '_response']}}}}},")
    out.append("};\n")
    for h in sorted(reader.headers, key=lambda h: h.name):
        out.append(f"const struct kp_header_row kp_{h.name}_header_row = "
                   f"{{{index[h.name + '_header']}, {h.flexible}}};")
    return "\n".join(out) + "\n"


def main(args):
    if args[:1] == ["code"] and len(args) > 3:
        reader = read(args[3:])
        Path(args[1]).write_text(c_header(reader))
        Path(args[2]).write_text(c_source(reader))
    elif args[:1] == ["digest"] and len(args) > 1:
        sys.stdout.write(digest(read(args[1:])))
    elif args[:1] == ["check"] and len(args) > 2:
        old, new = Path(args[1]).read_text(), digest(read(args[2:]))
        print("\n".join(difflib.unified_diff(old.splitlines(), new.splitlines(), "committed", "schema", lineterm="")))
        print(f"{new.count(chr(10))} layouts, digest {'unchanged' if old == new else 'CHANGED'}")
        return 0 if old == new else 1
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Bad as why:
        print(f"error: {why}", file=sys.stderr)
        sys.exit(1)

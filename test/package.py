#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""package: the Debian package, built, judged and lived with.

Always: what the package says it is built with is what .ci/setup installs for a build, and its
scripts can be read. In the long run it is built (cli/debian/build) and lintian may say nothing; then
in a root folder made by debootstrap, of this machine's Debian and over its apt: installed; the broker
run by the line of its unit, as its user, with the places a manager of services would give it; records
written and read; upgraded twice, the second time with another kauri.conf, while the operator's
counts; removed, which leaves the records; installed again; purged, which leaves nothing of it.

    test/package.py [--long] [--root DIR]      --root: a debootstrap folder to copy, none is made

Skipped with the reason: the long part without root, debhelper, lintian or debootstrap, or where
debootstrap cannot make its folder.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness

PACKAGING = harness.ROOT / "cli" / "debian"
TOOLS = {"debootstrap": "debootstrap", "dh": "debhelper", "lintian": "lintian"}
# build-essential has them, or they are no package of Debian's: what Build-Depends need not name.
BY_THEMSELVES = {"gcc", "libc6-dev"}
DATA, CONFIG, RUN = "var/lib/kauri", "etc/kauri/kauri.conf", "run/kauri"
RECORDS = 1000
SETTING = "# the operator's line\n"
APT_LIMIT_S = 900


def words_of(text):
    """The package names of a Build-Depends field."""
    field = re.search(r"^Build-Depends:\n((?: .*\n)+)", text, re.M).group(1)
    return {re.split(r"[\s(:\[]", line.strip(), maxsplit=1)[0].rstrip(",") for line in field.splitlines()}


def look(check):
    """What can be said without building."""
    setup = (harness.ROOT / ".ci" / "setup").read_text()
    listed = set(" ".join(re.findall(r'\bbuild="(?:\$build )?([^"$]*)"', setup)).split())
    control = (PACKAGING / "control").read_text()
    check.equal("built with what .ci/setup lists", words_of(control) - {"debhelper-compat"}, listed - BY_THEMSELVES)
    for script in ("build", "postinst", "postrm"):
        done = subprocess.run(["sh", "-n", str(PACKAGING / script)], capture_output=True, text=True)
        check.that(f"{script} can be read", done.returncode == 0, done.stderr)
    done = subprocess.run([str(PACKAGING / "build")], capture_output=True, text=True)
    check.that("build wants a folder", done.returncode == 2 and "usage:" in done.stderr, done)


def command(*words, limit_s=APT_LIMIT_S):
    """A Done, of words run in English, without questions."""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=env, timeout=limit_s)
    return harness.Done(done.returncode, done.stdout, b"")


def build(check, home):
    """The package; None when there is none. Lintian's words are shown, and must be none."""
    out = home.path / "out"
    env = {**os.environ, "TMPDIR": str(home.path)}
    done = subprocess.run([str(PACKAGING / "build"), str(out)], capture_output=True, text=True, env=env)
    paths = [Path(line) for line in done.stdout.splitlines()]
    if not check.that("it is built", done.returncode == 0 and all(p.is_file() for p in paths), done.stderr[-3000:]):
        return None
    version = re.search(r"version: '([^']+)'", (harness.ROOT / "meson.build").read_text()).group(1)
    found = [p for p in paths if p.name.startswith(f"kauri_{version}_")]
    check.equal("of the version in meson.build, and its symbols", (len(found), len(paths)), (1, 2))
    lint = subprocess.run(["lintian", "--tag-display-limit", "0", "--fail-on", "error,warning", *map(str, paths)],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    check.equal("lintian", (lint.returncode, lint.stdout), (0, ""))
    return found[0] if found else None


class Base:
    """A root folder with a Debian in it, and the broker that is installed there."""

    def __init__(self, home, made):
        self.home, self.path = home, home.path / "root"
        if made:
            harness.shell("cp", "-a", made, self.path)
        else:
            self.make()
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.path / "etc" / name)
        shutil.rmtree(self.path / "etc/apt")
        shutil.copytree("/etc/apt", self.path / "etc/apt", symlinks=True)
        harness.shell("mount", "-t", "proc", "proc", self.path / "proc")
        home.undo.append(lambda: subprocess.run(["umount", "-l", str(self.path / "proc")], check=False))

    def make(self):
        """By debootstrap, from where apt has this machine's own Debian."""
        suite = re.search(r"^VERSION_CODENAME=(\S+)", Path("/etc/os-release").read_text(), re.M).group(1)
        rows = command("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)",
                       "Created-By: Packages").lines()
        sites = [row.split()[0] for row in rows if row.split()[1:] == [suite, "main"]]
        if not sites:
            raise RuntimeError(f"apt knows no source of {suite}: apt-get update")
        done = command("debootstrap", "--variant=minbase", suite, self.path, sites[0])
        if done.code != 0:
            raise RuntimeError(f"debootstrap: {' '.join(done.lines()[-1:])}")

    def run(self, *words, data=None):
        """A Done, of words run in there by root."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(["chroot", str(self.path), *map(str, words)], input=data or b"", capture_output=True,
                              env=env, timeout=harness.COMMAND_LIMIT_S)
        return harness.Done(done.returncode, done.stdout, done.stderr)

    def apt(self, *words):
        return command("chroot", self.path, "apt-get", "-y", "-o", "Dpkg::Use-Pty=0", *words)

    def install(self, package, *words):
        shutil.copy(package, self.path / "tmp" / package.name)
        return self.apt("install", "--no-install-recommends", *words, f"/tmp/{package.name}")

    def state(self):
        """What dpkg thinks of it: state and version."""
        return self.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "kauri").text

    def traces(self):
        """Every path that has its name."""
        done = self.run("find", "/", "-xdev", "-path", "/proc", "-prune", "-o", "-path", "/tmp", "-prune", "-o",
                        "-iname", "*kauri*", "-print")
        return sorted(done.lines())


class Service(harness.Broker):
    """The unit's broker, as a manager of services would start it."""

    def __init__(self, base):
        super().__init__(base.home, "service")
        self.base = base

    def command(self, *more):
        """The line and the user of the unit, in places as the unit names them."""
        unit = (list(self.base.path.glob("usr/lib/systemd/system/kauri.service")) or
                list(self.base.path.glob("lib/systemd/system/kauri.service")))[0].read_text()
        said = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
        user = said["User"]
        self.base.run("install", "-d", "-o", user, "-g", user, "-m", said["RuntimeDirectoryMode"],
                      f"/run/{said['RuntimeDirectory']}")
        places = [f"STATE_DIRECTORY=/var/lib/{said['StateDirectory']}",
                  f"RUNTIME_DIRECTORY=/run/{said['RuntimeDirectory']}",
                  f"CONFIGURATION_DIRECTORY=/etc/{said['ConfigurationDirectory']}"]
        return ["chroot", str(self.base.path), "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups",
                "--pdeathsig=KILL", "env", "-i", "PATH=/usr/bin:/bin", *places, *said["ExecStart"].split(), *more]


def repack(home, package, suffix, change=None):
    """The package as a later version; change(tree) alters it."""
    tree = home.path / f"tree{suffix}"
    harness.shell("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"^(Version: .*)$", rf"\g<1>{suffix}", control.read_text(), flags=re.M))
    if change:
        change(tree)
    out = home.path / f"kauri{suffix}.deb"
    harness.shell("dpkg-deb", "--root-owner-group", "-b", tree, out)
    return out


def another_config(tree):
    path = tree / CONFIG
    path.write_text(path.read_text() + "\n# a line of the later version\n")


class Life:
    """One package from its installation to its end; `lines` is what was written and must be read."""

    def __init__(self, check, home, base, package):
        self.check, self.home, self.base, self.package = check, home, base, package
        self.latest = package
        self.service = Service(base)
        self.lines = []
        self.port = harness.free_port()

    def installed(self):
        done = self.base.install(self.package)
        self.check.that("it is installed, with what it depends on", done.code == 0, done.text[-2000:])
        stat = self.base.run("stat", "-c", "%U:%G %a", f"/{DATA}").text.strip()
        self.check.equal("the data folder is the user's alone", stat, "kauri:kauri 750")
        account = self.base.run("getent", "passwd", "kauri").text.strip().split(":")
        self.check.that("the user can not log in", len(account) == 7 and account[6].endswith("nologin")
                        and 0 < int(account[2]) < 1000, account)
        self.check.that("the unit is enabled", (self.base.path / "etc/systemd/system/multi-user.target.wants"
                                                / "kauri.service").is_symlink())
        self.check.equal("no name of Kafka's in /usr/bin", list((self.base.path / "usr/bin").glob("kafka-*")), [])
        done = self.base.run("dpkg", "--verify", "kauri")
        self.check.equal("every file as packed", (done.code, done.text), (0, ""))
        done = self.base.run("ldd", "/usr/bin/kauri", "/usr/bin/kauri-kafka")
        self.check.that("every library there", done.code == 0 and "not found" not in done.text, done)

    def configure(self):
        """The operator's settings, in the file as it came: ports of this test."""
        path = self.base.path / CONFIG
        text = path.read_text()
        for key, value in (("listeners", f"PLAINTEXT://127.0.0.1:{self.port}"), ("http.listen", "off")):
            text, count = re.subn(rf"^#{re.escape(key)} = .*$", f"{key} = {value}", text, flags=re.M)
            self.check.equal(f"{key} stands in kauri.conf", count, 1)
        path.write_text(text + SETTING)
        done = self.base.run("kauri", "config", "check", f"/{CONFIG}")
        self.check.equal("the settings check", done.code, 0)

    def start(self, when):
        ready = self.service.start()
        return self.check.that(f"the broker runs {when}", ready is not None, self.service.errors()[-1500:])

    def stop(self):
        self.check.equal("it stops in order", self.service.stop(), 0)

    def write(self, mark):
        lines = [f"{mark} {i}" for i in range(RECORDS)]
        done = self.base.run("kauri", "produce", "orders", data="".join(l + "\n" for l in lines).encode())
        if self.check.that(f"records are written {mark}", done.code == 0, done):
            self.lines += lines

    def read(self, when):
        done = self.base.run("kauri", "consume", "orders", "-o", "start", "-e")
        self.check.that(f"all records are read {when}", done.code == 0 and done.lines() == self.lines and self.lines,
                        f"{len(done.lines())} of {len(self.lines)}; {done.errors[-500:]}")

    def kept(self, when):
        """The operator's settings."""
        path = self.base.path / CONFIG
        text = path.read_text() if path.exists() else ""
        self.check.that(f"kauri.conf as edited {when}", text.endswith(SETTING) and str(self.port) in text, text[-300:])

    def tools(self):
        """Apache's names, at the Kafka port."""
        done = self.base.run("/usr/lib/kauri/bin/kafka-topics.sh", "--bootstrap-server", f"127.0.0.1:{self.port}",
                             "--list")
        self.check.equal("kafka-topics.sh lists the topic", (done.code, done.lines()), (0, ["orders"]))

    def use(self):
        self.configure()
        if self.start("after the installation"):
            self.write("first")
            self.read("after the installation")
            self.tools()
            self.stop()

    def upgrade(self, suffix, change, *words):
        self.latest = repack(self.home, self.package, suffix, change)
        done = self.base.install(self.latest, *words)
        version = self.base.state()
        self.check.that(f"upgraded to {suffix}", done.code == 0 and version.startswith("installed ")
                        and version.endswith(suffix), (version, done.text[-2000:]))
        self.kept(f"after {suffix}")
        if self.start(f"after {suffix}"):
            self.write(f"after {suffix}")
            self.read(f"after {suffix}")
            self.stop()

    def upgrades(self):
        self.upgrade("+1", None)
        self.upgrade("+2", another_config, "-o", "Dpkg::Options::=--force-confold")
        new = self.base.path / f"{CONFIG}.dpkg-dist"
        self.check.that("the later kauri.conf lies beside", new.exists() and "later version" in new.read_text())

    def remove(self):
        done = self.base.apt("remove", "kauri")
        self.check.that("removed, and it says what stays", done.code == 0 and
                        "kauri: removal leaves the records in /var/lib/kauri" in done.text, done.text[-2000:])
        self.check.that("no program left", not (self.base.path / "usr/bin/kauri").exists()
                        and self.base.state().startswith("config-files"), self.base.state())
        self.check.that("the records are there", (self.base.path / DATA / "orders-0").is_dir())
        self.kept("after the removal")

    def again(self):
        done = self.base.install(self.latest)
        self.check.that("installed again", done.code == 0 and self.base.state().startswith("installed "),
                        done.text[-2000:])
        self.kept("after the second installation")
        if self.start("after the second installation"):
            self.read("after the second installation")
            self.stop()
        done = self.base.run("kauri", "verify", "--deep", f"/{DATA}")
        self.check.that("nothing is broken", done.code == 0, done)

    def purge(self):
        done = self.base.apt("purge", "kauri")
        self.check.that("purged, and it says what goes", done.code == 0 and
                        "kauri: deleting the records in /var/lib/kauri" in done.text, done.text[-2000:])
        self.check.equal("dpkg knows it no more", self.base.run("dpkg-query", "-W", "kauri").code, 1)
        shutil.rmtree(self.base.path / RUN, ignore_errors=True)  # the manager of services had made it
        self.check.equal("and nothing is left", self.base.traces(), [])


def missing():
    """Why the package cannot be tried here; None when it can."""
    absent = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if absent:
        return f"not installed: {' '.join(absent)} (.ci/setup test)"
    if os.geteuid() != 0:
        return "a root folder of one's own needs root"
    if os.environ.get(harness.INSIDE) != "1":
        return "no mounts of one's own here: no unshare(1), or it may not"
    return None


def live(check, home, made):
    """The long part; why it was not to be had, or None."""
    package = build(check, home)
    if package is None:
        return None
    try:
        base = Base(home, made)
    except RuntimeError as why:
        return str(why)
    check.equal("a root without it", base.traces(), [])
    updated = base.apt("update")
    if updated.code != 0:
        return f"apt-get update: {' '.join(updated.lines()[-1:])}"
    life = Life(check, home, base, package)
    for step in (life.installed, life.use, life.upgrades, life.remove, life.again, life.purge):
        step()
    return None


def main():
    parser = argparse.ArgumentParser(description="The Debian package.")
    parser.add_argument("--long", action="store_true", default=harness.LONG, help="build and live with it")
    parser.add_argument("--root", metavar="DIR", help="copy this debootstrap folder")
    options = parser.parse_args()
    if options.long:
        harness.own_mounts()
    home = harness.Home("package")
    check = harness.Checks()
    look(check)
    why = None
    if options.long:
        why = missing() or live(check, home, options.root)
    if why and not check.bad:
        print(f"the package was not tried: {why}")
        return harness.SKIP
    return check.close("package")


if __name__ == "__main__":
    sys.exit(main())

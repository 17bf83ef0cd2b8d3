"""What scripts/bench, scripts/instructions and scripts/pgo share: the program, the yardstick, and the traces that a seeded generator makes.

The generator (gen.rs) and the yardstick (bare_loop.c, libpcap's own loop) are in the folder DNSTERRIER_PERF [default:
../shared/perf]; what is made of them stays in target/bench. The program is DNSTERRIER_PROGRAM, as that of scripts/pgo [default: the
release, which is built first].
"""
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PERF = os.environ.get("DNSTERRIER_PERF", os.path.join(ROOT, "..", "shared", "perf"))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
WORK = os.path.join(TARGET, "bench")
OTHER = os.environ.get("DNSTERRIER_PROGRAM")
PROGRAM = os.path.abspath(OTHER) if OTHER else os.path.join(TARGET, "release", "dnsterrier")


def say(words):
    print(f"{os.path.basename(sys.argv[0])}: {words}", file=sys.stderr)


def die(words):
    say(words)
    sys.exit(1)


def place(name):
    return os.path.join(WORK, name)


def make(name, command):
    """Runs a command that makes a file, unless it is there; the file appears whole or not at all."""
    path = place(name)
    if not os.path.exists(path):
        say(f"making {name}")
        if os.path.exists(path + ".new"):
            os.unlink(path + ".new")
        subprocess.run(command(path + ".new"), check=True, stdout=subprocess.DEVNULL)
        os.rename(path + ".new", path)
    return path


def rust(name):
    """cargo or rustc: that of the path, or where rustup puts it."""
    return shutil.which(name) or os.path.expanduser(f"~/.cargo/bin/{name}")


def prepare(*also):
    """The generator, and what else of DNSTERRIER_PERF is named."""
    for source in ("gen.rs", *also):
        if not os.path.exists(os.path.join(PERF, source)):
            die(f"{source} is not in {PERF}; set DNSTERRIER_PERF to the folder that has it")
    os.makedirs(WORK, exist_ok=True)
    make("gen", lambda out: [rust("rustc"), "-O", os.path.join(PERF, "gen.rs"), "-o", out])


def cargo_build(*more, **environment):
    """A release build, with more arguments and variables."""
    command = [rust("cargo"), "build", "--release", "--locked", "--quiet", *more]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, **environment})


def build():
    """The program, as a release, unless another is named."""
    if not OTHER:
        cargo_build()


def trace(name, pairs, kind, seed=1):
    """A trace of so many lookups, nothing but DNS (dns) or among other traffic (mixed)."""
    return make(name, lambda out: [place("gen"), str(pairs), kind, out, str(seed)])


def without_packets():
    """A file of which only the header is there."""
    of = trace("small.pcap", 20_000, "dns")
    return make("empty.pcap", lambda out: ["sh", "-c", f"head -c 24 '{of}' >'{out}'"])


def many_rules():
    """1,000 rules, and a list of a million names."""
    rules, names = place("rules.yaml"), place("names.txt")
    with open(rules, "w", encoding="ascii") as out:
        for number in range(1_000):
            out.write(f"name: rule {number}\ndomain: [s{number * 7919}.example, s{number * 7919}.test]\n---\n")
    with open(names, "w", encoding="ascii") as out:
        for number in range(1_000_000):
            out.write(f"d{number}.dyn{number % 997}.example\n")
    return rules, names


def replay(file, *options):
    return [PROGRAM, "replay", file, *options]

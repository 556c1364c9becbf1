#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The tools that judge others: what the runner counts, what the checks find, what deps would install."""
import importlib.machinery, importlib.util, os, pathlib, shutil, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True


def load_runner():
    loader = importlib.machinery.SourceFileLoader("run_tests", str(ROOT / "tools/run-tests"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    return module


runner = load_runner()


def counts(*results):
    """Feed results to the runner as meson writes them; its totals."""
    totals = runner.Totals()
    for result, code, output in results:
        runner.read_result({"name": "culvert:unit / x", "result": result, "returncode": code, "stdout": output}, totals)
    return totals


def counts_lines_and_not_programs():
    totals = counts(("OK", 0, "ok 1 - a\nok 2 - b\n1..2\n"), ("OK", 0, "no tap here\n"))
    assert totals.closing_line() == "3 passed, 0 failed, 0 skipped"


def counts_each_failed_line_and_shows_the_output():
    totals = counts(("FAIL", 1, "# a.c:3: x == 2\nnot ok 1 - a\nok 2 - b\nnot ok 3\n1..3\n"))
    assert totals.closing_line() == "1 passed, 2 failed, 0 skipped"
    assert "x == 2" in totals.failures[-1]


def counts_a_program_that_dies_after_good_lines_as_failed():
    totals = counts(("ERROR", -11, "ok 1 - a\n"), ("TIMEOUT", -15, "ok 1 - a\n"), ("FAIL", 1, ""))
    assert totals.closing_line() == "2 passed, 3 failed, 0 skipped"


def keeps_the_reason_of_every_skip():
    totals = counts(("OK", 0, "ok 1 - a # SKIP no TUN device\nok 2 - b\n1..2\n"),
                    ("SKIP", 0, "1..0 # SKIP not root\n"), ("SKIP", 77, "clang-tidy is not installed\n"))
    assert totals.closing_line() == "1 passed, 0 failed, 3 skipped"
    reasons = "\n".join(totals.skips)
    assert "no TUN device" in reasons and "not root" in reasons and "clang-tidy is not installed" in reasons


# the word is TAP's
def counts_a_todo_line_as_no_failure():
    assert counts(("OK", 0, "not ok 1 - a # TODO later\n1..1\n")).failed == 0


def gathers_seeds_and_scales():
    totals = counts(("OK", 0, "# seed 42\n# scale: 300 handshakes, full 500\n# something else\nok 1 - a\n1..1\n"))
    assert totals.scales == ["x: seed 42", "x: scale: 300 handshakes, full 500"]


def tree(**files):
    """A directory with src/base/NAME = text for each file."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="culvert-tools-"))
    (top / "src/base").mkdir(parents=True)
    for name, text in files.items():
        (top / "src/base" / name.replace("_", ".")).write_text(text)
    return top


SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def complaints(**files):
    top = tree(**files)
    try:
        return subprocess.run([ROOT / "tools/check-source", top], capture_output=True, text=True).stdout
    finally:
        shutil.rmtree(top)


def check_source_passes_a_good_header():
    assert complaints(x_h=SPDX + "/**\n * x.h - A thing\n */\n#pragma once\n") == ""


def check_source_finds_calls_but_not_words_in_texts_or_comments():
    assert "system()" in complaints(x_c=SPDX + 'int f(void)\n{\n\treturn system("ls");\n}\n')
    assert complaints(x_c=SPDX + '/* never system("x") */\nconst char *s = "strcpy(a, b)";\n') == ""
    assert complaints(x_c=SPDX + "int f(struct t *t)\n{\n\treturn t->system(1) + my_system(2);\n}\n") == ""


def check_source_finds_missing_licence_and_opening():
    assert "SPDX" in complaints(x_c="int x;\n")
    assert "a header opens with" in complaints(x_h=SPDX + "#pragma once\n")


def deps(script, *args, **environment):
    """Run tools/deps with a dpkg-query that is the given shell script."""
    with tempfile.TemporaryDirectory(prefix="culvert-tools-") as fake:
        for name, text in {"dpkg-query": script, "dpkg": "echo " + environment.get("ARCH", "amd64")}.items():
            path = pathlib.Path(fake) / name
            path.write_text("#!/bin/sh\n" + text + "\n")
            path.chmod(0o755)
        return subprocess.run([ROOT / "tools/deps", "--list", *args], capture_output=True, text=True,
                              env={"PATH": f"{fake}:{os.environ['PATH']}"})


def deps_lists_nothing_when_all_is_installed():
    answer = deps("echo installed")
    assert answer.returncode == 0 and answer.stdout == ""


def deps_lists_only_what_the_groups_need():
    build = deps("exit 1", "build").stdout.split()
    assert "meson" in build and "libipsec-mb-dev" in build and "cppcheck" not in build


def deps_takes_either_of_two_names():
    one = 'for p; do :; done; [ "$p" = libclang-rt-14-dev ] && echo installed'
    assert not [word for word in deps(one, "fuzz").stdout.split() if "libclang-rt" in word]
    assert [word for word in deps("exit 1", "fuzz").stdout.split() if "libclang-rt" in word]


def deps_leaves_out_packages_of_other_processors():
    assert "libipsec-mb-dev" not in deps("exit 1", "build", ARCH="arm64").stdout


def deps_refuses_an_unknown_group():
    answer = deps("echo installed", "bulid")
    assert answer.returncode == 1 and "no group named bulid" in answer.stderr


def main():
    tests = [f for name, f in globals().items() if callable(f) and getattr(f, "__module__", "") == __name__
             and f.__code__.co_argcount == 0 and not f.__code__.co_flags & 0x0C and name not in ("main", "load_runner")]
    bad = 0
    for number, test in enumerate(tests, 1):
        try:
            test()
        except AssertionError as error:
            bad += 1
            line = error.__traceback__.tb_next.tb_lineno
            print(f"# line {line}\nnot ok {number} - {test.__name__}")
        else:
            print(f"ok {number} - {test.__name__}")
    print(f"1..{len(tests)}")
    return bad != 0


sys.exit(main())

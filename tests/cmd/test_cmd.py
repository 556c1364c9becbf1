#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that need no tunnel, from outside: output, exit codes, and what the programs that
people had before say about the same input.

    test_cmd.py CULVERT
"""
import base64, json, os, pathlib, pty, random, re, shutil, stat, struct, subprocess, sys, tempfile, termios, zlib

CULVERT = os.path.abspath(sys.argv[1])
WORK = pathlib.Path(tempfile.mkdtemp(prefix="culvert-cmd-"))
ALICE = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="  # RFC 7748 section 6.1
ALICE_PUBLIC = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
BOB_PUBLIC = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

LAPTOP = f"""\
# the laptop
[Interface]
PrivateKey = {ALICE}
Address = 10.0.0.2/24, fd00::2/64
DNS = 10.0.0.1
PostUp = logger "up; $(hostname)"
Jc = 4
Colour = \u00fcber

[Peer]
# friendly_name = the gateway
PublicKey = {BOB_PUBLIC}
PresharedKey = {ALICE}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = vpn.example.com:51820
PersistentKeepalive = 25
"""


# What an AmneziaWG server's file may hold, and what Amnezia's own server writes.
AMNEZIA = f"""\
# awg
[Interface]
PrivateKey = {ALICE}
ListenPort = 55424
Address = 10.8.1.0/24
Jc = 5
Jmin = 10
Jmax = 50
S1 = 42
S2 = 108
S3 = 13
S4 = 12
H1 = 1
H2 = 2
H3 = 3
H4 = 4
HeaderProtectionKey = {ALICE}
ContentPaddingAddition = 10-100
RekeyAfterTime = 100-120
RandomTrailers = on
DisableCookies = on

[Peer]
PublicKey = {BOB_PUBLIC}
AllowedIPs = 10.8.1.2/32
PersistentKeepalive = 25-35
"""

CLIENT = f"""\
# my phone
[Interface]
PrivateKey = {ALICE}
Address = 10.0.0.2/32
DNS = 10.0.0.1, 1.1.1.1

[Peer]
PublicKey = {BOB_PUBLIC}
AllowedIPs = 0.0.0.0/0
Endpoint = 192.0.2.1:51820
"""


class Skip(Exception):
    pass


def run(*args, stdin=b"", program=None, **kwargs):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run([program or CULVERT, *args], input=stdin, capture_output=True, timeout=120, **kwargs)


def need(program):
    if not shutil.which(program):
        raise Skip(f"{program} is not installed")


def write(name, text):
    path = WORK / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return str(path)


def refused(result, code, *words):
    text = result.stderr.decode()
    assert result.returncode == code, (result.returncode, text)
    for word in words:
        assert word in text, text


# --- culvert ---

def lists_its_commands_and_their_exit_codes():
    for args in (["--help"], ["-h"], ["help"]):
        result = run(*args)
        assert result.returncode == 0 and not result.stderr
        for word in (b"device", b"keys", b"conf", b"qr", b"doctor", b"Exit codes"):
            assert word in result.stdout


def says_its_version():
    result = run("--version")
    assert result.returncode == 0 and result.stdout.startswith(b"culvert ") and result.stdout.count(b"\n") == 1


def guesses_the_command_that_was_meant():
    refused(run("kyes"), 2, "no command 'kyes'", "did you mean 'keys'")
    refused(run("frobnicate"), 2, "no command 'frobnicate'")
    assert "did you mean" not in run("frobnicate").stderr.decode()
    refused(run("x" * 5000), 2, "no command")
    refused(run(), 2, "Usage")


def is_the_device_command_under_three_names():
    for name in ("culvert-device", "wireguard-go", "amneziawg-go"):
        link = WORK / name
        link.symlink_to(CULVERT)
        result = run("--help", program=str(link))
        assert result.returncode == 0 and b"device" in result.stdout.lower(), (name, result)


def fails_when_its_output_cannot_be_written():
    with open("/dev/full", "wb") as full:
        result = subprocess.run([CULVERT, "keys", "gen"], stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1 and b"No space left" in result.stderr


def every_command_answers_help():
    for command in ("keys", "conf", "qr", "doctor", "hub", "host", "conf obfuscate", "conf apply", "conf export"):
        result = run(*command.split(), "--help")
        assert result.returncode == 0 and result.stdout.startswith(b"Usage: culvert " + command.encode()), command


def the_state_of_a_user_lies_where_users_keep_theirs():
    def default(uid, **environment):
        become = (lambda: os.setuid(uid)) if os.geteuid() == 0 else None
        try:
            said = run("gateway", "--help", preexec_fn=become, env={"PATH": os.environ["PATH"], **environment})
        except PermissionError:
            raise Skip("another user cannot reach the program")
        line = [l for l in said.stdout.decode().splitlines() if l.lstrip().startswith("--state")][0]
        return line.split("default ")[1].rstrip(")")

    user = 65534
    assert default(user, XDG_STATE_HOME="/x/y", HOME="/h") == "/x/y/culvert"
    assert default(user, XDG_STATE_HOME="y", HOME="/h") == "/h/.local/state/culvert"
    assert default(user, HOME="/h") == "/h/.local/state/culvert"
    assert default(user, XDG_STATE_HOME="/" + 300 * "x") == "/var/lib/culvert"
    if os.geteuid() == 0:
        assert default(0, XDG_STATE_HOME="/x/y") == "/var/lib/culvert"


def refuses_wrong_command_lines():
    for args in (["keys"], ["keys", "make"], ["keys", "gen", "x"], ["keys", "--nope"], ["conf"], ["conf", "eat"],
                 ["conf", "check", "a", "b"], ["qr", "--format", "gif"], ["qr", "a", "b"], ["qr", "--nope"],
                 ["keys", "gen", "-o", "yaml"], ["conf", "show", "-o"], ["conf", "obfuscate"], ["doctor"],
                 ["conf", "obfuscate", "--level", "loud"], ["conf", "obfuscate", "-l", "low", "--client"],
                 ["conf", "obfuscate", "-l", "low", "a", "b"], ["conf", "apply"], ["conf", "apply", "a", "b", "c"],
                 ["conf", "export"], ["conf", "export", "a", "b"], ["doctor", "a", "b"], ["qr", "--link", "-o", "x"],
                 ["qr", "--amnezia", "--format", "png"], ["qr", "--amnezia", "--format", "svg", "-o", "-"],
                 ["proxy", "--open", "--keys", "x"], ["carrier", "--to", "ftp://x", "--listen", "127.0.0.1:0"],
                 ["carrier", "--to", "tcp://127.0.0.1:1", "--listen", "0.0.0.0:1"], ["create", "--token", "x", "y"],
                 ["connect", "--carrier", "vpn.example:443", "x"]):
        result = run(*args)
        assert result.returncode == 2 and re.match(rb"culvert " + args[0].encode() + rb"( \w+)?: ", result.stderr), args
        assert not result.stdout
    # A variable says less than the command line.
    result = run("proxy", "--keys", "/no/such/keys", "--listen", "127.0.0.1:0", env={**os.environ, "PROXY_OPEN": "1"})
    assert result.returncode == 3 and b"/no/such/keys" in result.stderr


# --- keys ---

def makes_clamped_private_keys_that_differ():
    keys = {run("keys", "gen").stdout for _ in range(8)}
    assert len(keys) == 8
    for line in keys:
        octets = base64.b64decode(line.strip(), validate=True)
        assert len(line) == 45 and len(octets) == 32
        assert octets[0] & 7 == 0 and octets[31] & 0xC0 == 0x40


def makes_preshared_keys_that_differ():
    keys = {run("keys", "psk").stdout for _ in range(8)}
    assert len(keys) == 8 and all(len(base64.b64decode(k)) == 32 for k in keys)


def computes_the_public_key_of_rfc_7748():
    assert run("keys", "pub", stdin=ALICE).stdout.decode() == ALICE_PUBLIC + "\n"
    assert run("keys", "pub", stdin=f"  {ALICE}\r\n\n").stdout.decode() == ALICE_PUBLIC + "\n"


def computes_the_same_public_keys_as_wg():
    need("wg")
    for _ in range(8):
        key = base64.b64encode(random.randbytes(32))  # not clamped
        assert run("keys", "pub", stdin=key).stdout == run("pubkey", stdin=key, program="wg").stdout


def refuses_input_that_is_not_one_key():
    for text in ("", "\n", ALICE[:-1], ALICE + "x", ALICE + " " + ALICE, ALICE[:-2] + "p=", "x" * 44, ALICE + "\n" * 1000,
                 ALICE + "\0"):
        result = run("keys", "pub", stdin=text)
        refused(result, 3, "not one key")
        assert not result.stdout and ALICE[:20].encode() not in result.stderr


def writes_keys_as_json():
    pair = json.loads(run("keys", "gen", "--json").stdout)
    assert set(pair) == {"private_key", "public_key"}
    assert json.loads(run("keys", "pub", "--json", stdin=pair["private_key"]).stdout) == \
        {"public_key": pair["public_key"]}
    assert set(json.loads(run("keys", "psk", "-o", "json").stdout)) == {"preshared_key"}


def warns_when_others_may_read_the_key():
    for mode, warned in ((0o644, True), (0o600, False)):
        with open(WORK / "key", "wb") as out:
            os.fchmod(out.fileno(), mode)
            result = subprocess.run([CULVERT, "keys", "gen"], stdout=out, stderr=subprocess.PIPE)
        assert result.returncode == 0 and (b"warning" in result.stderr) == warned


# --- conf ---

def says_nothing_about_a_good_file():
    good = LAPTOP.replace("Colour", "# Colour")
    for result in (run("conf", "check", write("laptop.conf", good)), run("conf", "check", stdin=good),
                   run("conf", "check", "-", stdin=good)):
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def warns_of_keys_nobody_knows():
    path = write("typo.conf", LAPTOP.replace("AllowedIPs", "AllowedIP"))
    result = run("conf", "check", path)
    assert result.returncode == 0 and not result.stdout
    assert f"{path}:8: warning: unknown key Colour\n" in result.stderr.decode()
    assert f"{path}:14: warning: unknown key AllowedIP; did you mean AllowedIPs?\n" in result.stderr.decode()
    answer = json.loads(run("conf", "check", "--json", path).stdout)
    assert answer["valid"] is True and [w["line"] for w in answer["warnings"]] == [8, 14]


def names_line_key_and_reason_of_a_bad_file():
    path = write("bad.conf", LAPTOP.replace("::/0", "::/129"))
    result = run("conf", "check", path)
    refused(result, 3, f"culvert conf: {path}:14: AllowedIPs: '::/129' is not a prefix")
    answer = run("conf", "check", "--json", path)
    assert answer.returncode == 3
    assert json.loads(answer.stdout) == {"valid": False, "line": 14,
                                         "reason": json.loads(answer.stdout)["reason"]}
    for verb in ("strip", "show"):
        result = run("conf", verb, path)
        refused(result, 3, ":14: AllowedIPs")
        assert not result.stdout


def reports_files_it_cannot_read():
    refused(run("conf", "check", str(WORK / "none.conf")), 1, "No such file")
    refused(run("conf", "check", str(WORK)), 1, "directory")


def hides_every_secret_in_show():
    text = LAPTOP + f"PresharedKy = {ALICE}\n# PrivateKey = {ALICE}\nOld = {base64.b64decode(ALICE).hex()}\n"
    for args in (["show"], ["show", "--json"]):
        result = run("conf", *args, stdin=text)
        assert result.returncode == 0, result
        assert ALICE.encode() not in result.stdout and base64.b64decode(ALICE).hex().encode() not in result.stdout
        assert ALICE_PUBLIC.encode() in result.stdout and b"PresharedKy" in result.stdout


def shows_a_file_to_a_person():
    assert run("conf", "show", stdin=LAPTOP).stdout.decode() == f"""\
interface
  public key: {ALICE_PUBLIC}
  private key: (hidden)
  addresses: 10.0.0.2/24, fd00::2/64
  dns: 10.0.0.1
  PostUp: logger "up; $(hostname)"
  Jc: 4
  Colour: \u00fcber

peer: {BOB_PUBLIC}
  name: the gateway
  preshared key: (hidden)
  endpoint: vpn.example.com:51820
  allowed ips: 0.0.0.0/0, ::/0
  persistent keepalive: every 25 seconds
"""


def shows_a_file_to_a_script():
    assert json.loads(run("conf", "show", "--json", stdin=LAPTOP).stdout) == {
        "interface": {
            "public_key": ALICE_PUBLIC, "has_private_key": True, "addresses": ["10.0.0.2/24", "fd00::2/64"],
            "dns": ["10.0.0.1"], "save_config": False,
            "other": [{"key": "PostUp", "value": 'logger "up; $(hostname)"'}, {"key": "Jc", "value": "4"},
                      {"key": "Colour", "value": "\u00fcber"}]},
        "peers": [{
            "public_key": BOB_PUBLIC, "name": "the gateway", "has_preshared_key": True,
            "endpoint_host": "vpn.example.com", "endpoint_port": 51820, "allowed_ips": ["0.0.0.0/0", "::/0"],
            "persistent_keepalive": 25, "other": []}]}


def keeps_control_characters_off_the_terminal():
    text = b"[Interface]\nPostUp = a\x1b[2Jb\x01c\n"
    assert b"PostUp: a?[2Jb?c\n" in run("conf", "show", stdin=text).stdout
    value = json.loads(run("conf", "show", "--json", stdin=text).stdout)["interface"]["other"][0]["value"]
    assert value == "a\x1b[2Jb\x01c"


def writes_json_even_of_octets_that_are_no_text():
    for octets in (b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x80\x80\x80",
                   "\u20ac".encode(), "\U0001f600".encode(), b'"\\\x7f'):
        text = b"[Interface]\nPostUp = x" + octets + b"y\n"
        value = json.loads(run("conf", "show", "--json", stdin=text).stdout)["interface"]["other"][0]["value"]
        wanted = octets.decode(errors="replace")
        assert value[0] == "x" and value[-1] == "y"
        assert value[1:-1] == wanted or set(value[1:-1]) == {"\ufffd"} and "\ufffd" in wanted, (octets, value)


def random_conf(rng):
    """Lines that wg-quick and we must agree about, with the white space people leave behind."""
    names = ["PrivateKey", "Address", "DNS", "MTU", "Table", "PreUp", "PostDown", "ListenPort", "SaveConfig", "Odd"]
    values = {"PrivateKey": ALICE, "Address": "10.0.0.1/8,fd00::1", "DNS": "1.1.1.1, x.example", "MTU": "1420",
              "Table": "auto", "PreUp": "echo $HOME `id` = \\t \\", "PostDown": "a;b", "ListenPort": "7",
              "SaveConfig": "true", "Odd": "1 # no"}
    space = lambda: rng.choice(["", "", " ", "\t", "  ", " \t "])
    text = space() + rng.choice(["[Interface]", "[interface]", "[INTERFACE] # main"]) + space()
    for _ in range(rng.randrange(12)):
        name = rng.choice(names)
        line = space() + rng.choice([name, name.lower(), name.upper()]) + space() + "=" + space() + values[name]
        text += rng.choice(["\n", "\n", "\r\n"]) + rng.choice([line, line, line + " # c", "# " + line, "", space()])
    text += "\n" + space() + "[Peer]" + space() + "\n" + f"PublicKey={BOB_PUBLIC}" + space()
    return text + rng.choice(["", "\n", "\n\n", "\n  ", "\nAllowedIPs=::/0", "\r\n", "\n#"])


def strips_what_wg_quick_strips():
    need("wg-quick")
    if os.geteuid() != 0:
        raise Skip("wg-quick strip wants root")
    seed = int(os.environ.get("CULVERT_SEED", "1"))
    print(f"# seed {seed}")
    rng = random.Random(seed)
    for text in [LAPTOP, "", "\n", "# x", "[Interface]\nTable = off"] + [random_conf(rng) for _ in range(40)]:
        path = write("strip.conf", text)
        theirs = run("strip", path, program="wg-quick", env={**os.environ, "LC_ALL": "C.UTF-8"})
        ours = run("conf", "strip", path)
        assert theirs.returncode == ours.returncode == 0, (text, theirs.stderr, ours.stderr)
        assert ours.stdout == theirs.stdout, (text, ours.stdout, theirs.stdout)


# --- qr ---

def decode(png):
    need("zbarimg")
    result = run("-q", "--raw", "-Sdisable", "-Sqrcode.enable", "-Sbinary", png, program="zbarimg")
    return result.stdout


def makes_codes_that_another_program_reads():
    path = write("laptop.conf", LAPTOP)
    for size in (1, 17, 300, 1273, 1274, 2331, 2332, 2953):
        text = (LAPTOP * 10).encode()[:size]
        png = str(WORK / f"{size}.png")
        result = run("qr", "-o", png, stdin=text)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
        assert decode(png) == text, size
    result = run("qr", "--format", "png", path)
    write("stdout.png", result.stdout)
    assert result.returncode == 0 and decode(str(WORK / "stdout.png")) == LAPTOP.encode()


def chooses_the_picture_by_the_name_of_the_file():
    starts = {"a.svg": b"<?xml", "a.png": b"\x89PNG", "a.txt": b"\033[40;37;1m", "svg": b"\033[40;37;1m"}
    for name, start in starts.items():
        assert run("qr", "-o", str(WORK / name), stdin="x").returncode == 0
        assert (WORK / name).read_bytes().startswith(start)
    assert run("qr", "-f", "svg", "-o", str(WORK / "b.png"), stdin="x").returncode == 0
    assert (WORK / "b.png").read_bytes().startswith(b"<?xml")


def keeps_the_picture_to_its_owner():
    path = WORK / "mine.png"
    path.write_bytes(b"old")
    path.chmod(0o644)
    assert run("qr", "-o", str(path), stdin="x").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [p for p in WORK.iterdir() if p.name.startswith(("mine", ".mine")) and p != path]


def writes_into_a_device_and_never_replaces_it():
    assert run("qr", "-o", "/dev/null", stdin="x").returncode == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert run("qr", "-o", "-", stdin="x").stdout.startswith(b"\033[40;37;1m")


def refuses_text_that_no_code_can_hold():
    refused(run("qr", stdin="x" * 2954), 3, "2953", "2954")
    refused(run("qr", stdin="x" * (2 << 20)), 3, "2953")
    refused(run("qr", stdin=""), 3, "no text")
    refused(run("qr", str(WORK / "none")), 1, "No such file")
    refused(run("qr", "-o", str(WORK / "no/such/dir.png"), stdin="x"), 1, "No such file")


def fits_a_terminal_of_eighty_columns():
    lines = run("qr", stdin=LAPTOP[:330]).stdout.decode().splitlines()
    width = len(lines[0].removeprefix("\033[40;37;1m").removesuffix("\033[0m"))
    assert width <= 80 and len(lines) <= 41 and all(len(l) == len(lines[0]) for l in lines)


# --- AmneziaWG ---

def takes_a_file_of_amneziawg_and_warns_of_what_is_unwise():
    path = write("awg.conf", AMNEZIA)
    result = run("conf", "check", path)
    assert result.returncode == 0 and not result.stdout
    said = result.stderr.decode().splitlines()
    line_of = {line.split(" ")[0]: number for number, line in enumerate(AMNEZIA.splitlines(), 1)}
    for key, words in (("S2", "S2 makes responses (200 octets) longer"), ("DisableCookies", "DisableCookies")):
        start = f"culvert conf: {path}:{line_of[key]}: warning: {words}"
        assert any(line.startswith(start) for line in said), (start, said)
    answer = json.loads(run("conf", "check", "--json", path).stdout)
    assert answer["valid"] is True and len(answer["warnings"]) == len(said)
    assert {w["line"] for w in answer["warnings"]} == {line_of["S2"], line_of["DisableCookies"]}


def names_the_line_and_the_rule_of_parameters_that_do_not_go_together():
    text = AMNEZIA.replace("S1 = 42", "S1 = 11")
    path = write("awg.conf", text)
    line = text.splitlines().index("S1 = 11") + 1
    for args in (["conf", "check", path], ["conf", "apply", "nothere0", path], ["doctor", path], ["qr", "--link", path]):
        refused(run(*args), 3, f"{path}:{line}: protection-padding: S1 is 11")
    assert json.loads(run("conf", "check", "--json", path).stdout)["line"] == line
    path = write("awg.conf", AMNEZIA.replace("Jc = 5", "Jc = 4-8"))
    refused(run("conf", "check", path), 3, f"{path}:6: Jc: '4-8' is a range")


def warns_of_keys_of_version_1_5_alone():
    text = AMNEZIA.replace("Jc = 5", "Jc = 5\nj2 = <b 0x01>\nItime = 60")
    answer = json.loads(run("conf", "check", "--json", stdin=text).stdout)
    assert [(w["line"], w["text"].split()[0]) for w in answer["warnings"][:2]] == [(7, "J2"), (8, "Itime")]


def warns_of_profiles_by_their_name():
    text = LAPTOP.replace("Colour = \u00fcber", "CulvertProfile = old disable_cookies=1")
    assert ":8: warning: profile old: DisableCookies" in run("conf", "check", stdin=text).stderr.decode()


def warns_of_a_key_that_is_given_twice():
    text = (f"[Interface]\nPrivateKey = {ALICE}\nAddress = 10.0.0.1/24\nAddress = fd00::1/64\nJc = 4\njc = 5\nMTU = 1280\n"
            f"PostUp = a\nPostUp = b\nCulvertProfile = a\nCulvertProfile = b\n"
            f"[Peer]\nPublicKey = {BOB_PUBLIC}\nEndpoint = 192.0.2.1:1\nAllowedIPs = 10.0.0.2/32\nAllowedIPs = ::/0\n"
            f"[Peer]\nPublicKey = {ALICE_PUBLIC}\nEndpoint = 192.0.2.1:1\nEndpoint = 192.0.2.2:1\n[Interface]\nMTU = 1300\n")
    answer = json.loads(run("conf", "check", "--json", stdin=text).stdout)
    assert [(w["line"], w["text"]) for w in answer["warnings"]] == [
        (6, "Jc is given again: this line counts, and line 5 does not"),
        (20, "Endpoint is given again: this line counts, and line 19 does not"),
        (22, "MTU is given again: this line counts, and line 7 does not")], answer


def warns_of_an_mtu_on_its_line():
    text = AMNEZIA.replace("Jc = 5", "MTU = 1440\nJc = 5")
    answer = json.loads(run("conf", "check", "--json", stdin=text).stdout)
    assert (6, True) in [(w["line"], w["text"].startswith("MTU 1440 is too great")) for w in answer["warnings"]], answer


def hides_the_header_key_in_show():
    key = base64.b64decode(ALICE).hex()
    text = AMNEZIA + f"[Interface]\nCulvertProfile = p header_protection_key={key} s1=12 s2=12 s3=12 s4=12\n"
    for args in (["show"], ["show", "--json"]):
        said = run("conf", *args, stdin=text).stdout.decode()
        assert key not in said and ALICE not in said
        assert "p header_protection_key=(hidden) s1=12" in said and "10-100" in said
    shown = json.loads(run("conf", "show", "--json", stdin=text).stdout)
    assert shown["peers"][0]["persistent_keepalive"] == "25-35"


def strips_profiles_that_no_other_program_knows():
    text = run("conf", "strip", stdin="[Interface]\nJc = 4\nCulvertProfile = a\n").stdout
    assert text == b"[Interface]\nJc = 4\n\n"


def values(text):
    """The keys of a file's [Interface]."""
    found = re.findall(r"^(\w+) *= *(.*)$", text.split("[Peer]")[0], re.M)
    return {name: value for name, value in found}


def draws_a_deployment_of_each_level():
    keys = {"off": 0, "low": 9, "medium": 9, "high": 12, "extreme": 20}
    for level, n in keys.items():
        result = run("conf", "obfuscate", "--level", level)
        assert (result.returncode, result.stderr) == (0, b"")
        drawn = values(result.stdout.decode())
        mtu = drawn.pop("MTU", None)
        assert len(drawn) == n and (mtu is None) == ("S4" not in drawn), drawn
        if mtu:
            assert int(mtu) == 1420 - int(drawn["S4"])
        check = run("conf", "check", stdin="[Interface]\nPrivateKey = " + ALICE + "\n" + result.stdout.decode())
        assert (check.returncode, check.stderr) == (0, b""), check.stderr
    for level, same in (("basic", "low"), ("stealth", "extreme")):
        assert json.loads(run("conf", "obfuscate", "-l", level, "--json").stdout)["level"] == same
    assert run("conf", "obfuscate", "-l", "low").stdout != run("conf", "obfuscate", "-l", "low").stdout


def puts_new_parameters_into_a_file_and_nothing_else():
    path = write("awg.conf", AMNEZIA)
    for level in ("off", "low", "high", "extreme"):
        result = run("conf", "obfuscate", "-l", level, path)
        assert result.returncode == 0
        old, new = AMNEZIA.splitlines(), result.stdout.decode().splitlines()
        awg = re.compile(r"(J|S\d|H\d|I\d|Header|Content|Re|Keep|Max|Random|Disable|MTU)")
        assert [l for l in new if not awg.match(l)] == [l for l in old if not awg.match(l)]
        assert run("conf", "check", stdin=result.stdout).returncode == 0
        assert ("MTU" in values(result.stdout.decode())) == (level in ("high", "extreme"))
    refused(run("conf", "obfuscate", "-l", "low", write("bad.conf", "[Interface]\nJc = x\n")), 3, ":2: Jc")


def draws_for_a_client_what_its_server_does_not_say():
    server = run("conf", "obfuscate", "-l", "extreme", write("awg.conf", AMNEZIA)).stdout.decode()
    path = write("server.conf", server)
    theirs, lines = values(server), run("conf", "obfuscate", "-l", "extreme", "--client", path).stdout.decode()
    ours = values(lines)
    for key in ("S1", "S2", "S3", "S4", "H1", "H2", "H3", "H4", "HeaderProtectionKey", "RandomTrailers"):
        assert ours[key] == theirs[key], key
    assert any(ours[key] != theirs[key] for key in ("Jc", "Jmin", "Jmax", "ContentPaddingAddition"))
    assert int(ours["MTU"]) == 1420 - int(ours["S4"]) and "PrivateKey" not in ours
    assert re.search(r"^# in \[Peer\]: PersistentKeepalive = 1[5-8]-2[2-5]$", lines, re.M)
    answer = json.loads(run("conf", "obfuscate", "-l", "extreme", "--client", "--json", path).stdout)
    assert answer["parameters"]["H1"] == theirs["H1"] and "-" in answer["persistent_keepalive"]


def takes_the_level_of_a_client_from_its_servers_file():
    for level in ("off", "low", "medium", "high", "extreme"):
        server = run("conf", "obfuscate", "-l", level, write("awg.conf", AMNEZIA)).stdout
        path = write("server.conf", server)
        answer = json.loads(run("conf", "obfuscate", "--client", "--json", path).stdout)
        assert answer["level"] == level, (level, answer)
        for other in ("off", "low", "medium", "high", "extreme"):
            result = run("conf", "obfuscate", "--client", "-l", other, path)
            if other == level or {level, other} == {"low", "medium"}:
                assert result.returncode == 0, (level, other, result)
            else:
                refused(result, 3, f"{path}: its parameters are of level {level}", f"of level {other}: leave --level out")
                assert not result.stdout


# --- links ---

def open_link(link):
    """What AmneziaVPN does with a link."""
    payload = base64.urlsafe_b64decode(link.removeprefix("vpn://") + "=" * (-len(link) % 4 + 2))
    text = zlib.decompress(payload[4:])
    assert len(text) == struct.unpack(">I", payload[:4])[0]
    return json.loads(text)


def makes_links_that_amneziavpn_opens():
    for level, container in (("off", "amnezia-wireguard"), ("low", "amnezia-awg"), ("high", "amnezia-awg2")):
        conf = run("conf", "obfuscate", "-l", level, write("client.conf", CLIENT)).stdout
        result = run("qr", "--link", stdin=conf)
        assert result.returncode == 0 and re.fullmatch(r"vpn://[A-Za-z0-9_-]+\n", result.stdout.decode())
        link = open_link(result.stdout.decode().strip())
        protocol = link["containers"][0]["wireguard" if level == "off" else "awg"]
        last = json.loads(protocol["last_config"])
        assert link["defaultContainer"] == link["containers"][0]["container"] == container
        assert (link["description"], link["hostName"], link["dns1"], link["dns2"]) == \
            ("my phone", "192.0.2.1", "10.0.0.1", "1.1.1.1")
        assert protocol["port"] == "51820" and protocol["transport_proto"] == "udp"
        assert last["config"] == conf.decode() and last["client_ip"] == "10.0.0.2/32" and last["port"] == 51820
        for key, value in values(conf.decode()).items():
            assert key not in ("Jc", "S1", "H1", "H4", "I1") or last[key] == protocol[key] == value


def reads_links_wherever_a_file_may_stand():
    link = run("qr", "--link", write("client.conf", CLIENT)).stdout.decode()
    for args, stdin in (([link.strip()], b""), ([], link), ([write("x.vpn", link)], b"")):
        assert run("conf", "check", *args, stdin=stdin).returncode == 0
        shown = json.loads(run("conf", "show", "--json", *args, stdin=stdin).stdout)
        assert shown["interface"]["public_key"] == ALICE_PUBLIC
    assert run("conf", "strip", link.strip()).stdout == run("conf", "strip", stdin=CLIENT).stdout
    assert run("qr", "--link", link.strip()).stdout.decode() == link


def never_repeats_a_link_in_a_complaint():
    link = run("qr", "--link", stdin=CLIENT.replace("Endpoint", "MTU = 5\nEndpoint")).stdout.decode().strip()
    assert not link
    good = run("qr", "--link", stdin=CLIENT).stdout.decode().strip()
    for text in (good[:-3], good + "*", "vpn://AAAA", "vpn://"):
        for args in (["conf", "check"], ["conf", "apply", "nothere"], ["doctor"], ["qr", "--link"], ["qr", "--amnezia"]):
            result = run(*args, text)
            refused(result, 3, "the link")
            assert text[6:40].encode() not in result.stderr + result.stdout or len(text) < 12, args


def refuses_to_make_a_link_of_a_servers_file():
    refused(run("qr", "--link", stdin=AMNEZIA), 3, "Endpoint")
    refused(run("qr", "--amnezia", stdin=AMNEZIA + CLIENT), 3, "one [Peer]")
    refused(run("qr", "--link", str(WORK / "none")), 1, "No such file")


def join(parts):
    """What AmneziaVPN does with the codes it has scanned, in any order."""
    chunks = {}
    for part in parts:
        octets = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        magic, count, index, size = struct.unpack(">HBBI", octets[:8])
        assert magic == 1984 and count == len(parts) and size == len(octets) - 8 <= 850
        chunks[index] = octets[8:]
    assert sorted(chunks) == list(range(len(parts)))
    payload = b"".join(chunks[i] for i in range(len(parts)))
    return json.loads(zlib.decompress(payload[4:]))


def draws_a_series_of_codes_that_make_the_link_again():
    conf = run("conf", "obfuscate", "-l", "extreme", write("client.conf", CLIENT)).stdout
    base = WORK / "series.png"
    result = run("qr", "--amnezia", "-o", str(base), stdin=conf)
    names = result.stdout.decode().split()
    assert result.returncode == 0 and names == [str(WORK / f"series-{i + 1}.png") for i in range(len(names))]
    assert len(names) > 1 and not base.exists()
    assert all(stat.S_IMODE(os.stat(name).st_mode) == 0o600 for name in names)
    link = join([decode(name) for name in reversed(names)])
    assert json.loads(link["containers"][0]["awg"]["last_config"])["config"] == conf.decode()


def draws_a_series_on_the_terminal_part_by_part():
    said = run("qr", "--amnezia", stdin=CLIENT).stdout.decode()
    n = len(re.findall("^part", said, re.M))
    assert n >= 1 and all(f"part {i + 1} of {n}\n\033[40" in said for i in range(n))


def waits_for_enter_between_codes_on_a_terminal():
    conf = run("conf", "obfuscate", "-l", "extreme", write("client.conf", CLIENT)).stdout
    path = write("long.conf", conf)
    shell, terminal = pty.openpty()
    child = subprocess.Popen([CULVERT, "qr", "--amnezia", path], stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    said = b""
    while b"Enter shows" not in said:
        said += os.read(shell, 65536)
    assert b"part 2" not in said
    os.write(shell, b"\n" * 8)
    try:
        while True:
            said += os.read(shell, 65536)
    except OSError:  # the terminal is gone with the child
        pass
    assert child.wait(60) == 0 and b"part 2 of" in said
    os.close(shell)


# --- apply, export, doctor: what they say without an interface ---

def says_which_interface_is_not_there():
    for args in (["conf", "apply", "nothere0"], ["conf", "export", "nothere0"], ["doctor", "nothere0"]):
        refused(run(*args, stdin=CLIENT), 1, "no interface nothere0")
    for name in ("../x", "", ".x", "a" * 16, "a/b"):
        refused(run("conf", "apply", name, stdin=CLIENT), 3, "not the name of an interface")
    refused(run("conf", "apply", "nothere0", stdin="[Interface]\nJc = x\n"), 3, ":2: Jc")


def finds_what_is_wrong_with_a_file():
    path = write("awg.conf", AMNEZIA)
    result = run("doctor", path)
    assert result.returncode == 3
    said = result.stdout.decode()
    assert f"{path}: default profile: AmneziaWG\n" in said
    line = [l.split(" ")[0] for l in AMNEZIA.splitlines()].index("S2") + 1
    assert f"{path}: finding: line {line}: S2 makes responses" in said and "finding: no MTU: wg-quick" in said
    answer = json.loads(run("doctor", "--json", path).stdout)
    assert {f["about"] for f in answer["findings"]} == {"file", "mtu"}
    assert answer["greatest_mtu"] == 1500 - 80 - 12


def repeats_what_conf_check_warns_of():
    text = AMNEZIA.replace("PrivateKey", "PrivatKey").replace("Jc = 5", "Jc = 5\nJc = 6\nCulvertProfile = p disable_cookies=1")
    warned = json.loads(run("conf", "check", "--json", stdin=text).stdout)["warnings"]
    found = json.loads(run("doctor", "--json", "-", stdin=text).stdout)["findings"]
    assert len(warned) == 6
    assert [f["text"] for f in found if f["about"] == "file"] == \
        [f"line {w['line']}: {w['text']}" if w["line"] else w["text"] for w in warned], found


def says_until_when_a_profile_is_accepted():
    text = LAPTOP.replace("Colour = \u00fcber", "CulvertProfile = old until=1767225600\nCulvertProfile = far until=18446744073709551615")
    said = run("doctor", "-", stdin=text).stdout.decode()
    assert ": profile old, accepted until 2026-01-01 00:00:00 UTC (1767225600)\n" in said, said
    assert ": profile far, accepted until 18446744073709551615\n" in said, said


def finds_nothing_in_a_good_file():
    good = LAPTOP.replace("vpn.example.com", "192.0.2.1").replace("Colour", "# Colour")
    result = run("doctor", "-", stdin=good)
    assert result.returncode == 0 and b"nothing found" in result.stdout, result
    drawn = run("conf", "obfuscate", "-l", "extreme", write("server.conf", AMNEZIA)).stdout
    answer = json.loads(run("doctor", "--json", "-", stdin=drawn).stdout)
    assert answer["findings"] == [] and answer["mtu"] == answer["greatest_mtu"], answer


def finds_an_mtu_that_does_not_fit():
    text = AMNEZIA.replace("Jc = 5", "MTU = 1420\nJc = 5")
    assert b"finding: MTU 1420: full packets are cut" in run("doctor", "-", stdin=text).stdout
    assert b"nothing" not in run("doctor", "-", stdin=text).stdout


def on_a_terminal(columns, *args, stdin):
    """What a command shows in a window, and what it complains of."""
    shell, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (50, columns))
    with open(os.path.join(WORK, "shown"), "wb+") as shown:
        child = subprocess.Popen([CULVERT, *args], stdin=subprocess.PIPE, stdout=terminal, stderr=subprocess.PIPE)
        os.close(terminal)
        child.stdin.write(stdin.encode())
        child.stdin.close()
        try:
            while octets := os.read(shell, 65536):
                shown.write(octets)
        except OSError:
            pass  # the child has ended
        os.close(shell)
        said = child.stderr.read()
        shown.seek(0)
        return subprocess.CompletedProcess(args, child.wait(), shown.read(), said)


def draws_no_code_that_the_terminal_would_break():
    text = "x" * 260
    width = lambda result: len(result.stdout.decode().splitlines()[0].removeprefix("\033[40;37;1m").removesuffix("\033[0m"))
    wide, narrow = on_a_terminal(80, "qr", stdin=text), on_a_terminal(70, "qr", stdin=text)
    assert (wide.returncode, narrow.returncode) == (0, 0), narrow
    assert 70 < width(wide) <= 80 and width(narrow) <= 70, "less error correction makes it fit"
    for args in (["qr"], ["qr", "-o", "-"]):
        result = on_a_terminal(40, *args, stdin=text)
        refused(result, 1, "columns and this terminal has 40", "wider window", "-o FILE.png")
        assert result.stdout == b"", result
    assert on_a_terminal(40, "qr", "-f", "svg", stdin=text).returncode == 0


def refuses_a_picture_of_a_kind_it_cannot_draw():
    for name in ("x.gif", "x.PNG", "x.png.", "x.jpeg"):
        refused(run("qr", "-o", str(WORK / name), stdin="x"), 2, "no picture of this kind", "NAME.png")
        assert not (WORK / name).exists()
    os.makedirs(WORK / "a.gif", exist_ok=True)
    assert run("qr", "-o", str(WORK / "a.gif" / "x"), stdin="x").returncode == 0
    assert run("qr", "-f", "ansi", "-o", str(WORK / "x.ans"), stdin="x").returncode == 0


def main():
    tests = [f for name, f in globals().items() if callable(f) and getattr(f, "__module__", "") == "__main__"
             and name not in ("Skip", "run", "need", "write", "refused", "decode", "random_conf", "values", "open_link", "join",
                              "on_a_terminal", "main")]
    bad = 0
    for number, test in enumerate(tests, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}", flush=True)
        except Skip as why:
            print(f"ok {number} - {test.__name__} # SKIP {why}", flush=True)
        except Exception as error:  # every failure is a line, and the next test runs
            bad += 1
            print("".join(f"# {line}\n" for line in repr(error).splitlines()) + f"not ok {number} - {test.__name__}",
                  flush=True)
    print(f"1..{len(tests)}")
    shutil.rmtree(WORK)
    return bad != 0


sys.exit(main())

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trees of parameters: a directory and a Parameter Store must do what a dictionary does.

    test_params.py PARAMS_DRIVER CULVERT
"""
import calendar, json, os, pathlib, random, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import parameter_store

DRIVER, CULVERT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
WORK = pathlib.Path(tempfile.mkdtemp(prefix="culvert-params-"))
STORE = parameter_store.Store()
KEYS = {"AWS_ACCESS_KEY_ID": parameter_store.ID, "AWS_SECRET_ACCESS_KEY": parameter_store.SECRET}
BASE = {"PATH": "/usr/bin:/bin", "AWS_REGION": parameter_store.REGION, "AWS_ENDPOINT_URL_SSM": STORE.url}
BASE.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
SSM = "ssm:/vpn"


def driver(store, *words, env=KEYS):
    p = subprocess.run([DRIVER, store, *words], env={**BASE, **env}, capture_output=True, text=True, timeout=60)
    assert p.returncode in (0, 1), p.stderr
    return p.returncode, p.stdout.splitlines(), p.stderr


def compare_with_a_dictionary(store):
    seed = random.SystemRandom().getrandbits(32)
    rounds = 2000 if os.environ.get("CULVERT_SOAK") else 80
    print(f"# seed {seed}\n# scale: {rounds} operations")
    draw, model = random.Random(seed), {}
    for i in range(20):  # more than a page
        assert driver(store, "add", f"users/p{i}/status", "active")[0] == 0
        model[f"users/p{i}/status"] = "active"
    for _ in range(rounds):
        name = f"{draw.choice(['wg', 'users/a', 'users/b.c'])}/{draw.choice('xyz')}"
        value = "".join(draw.choices("abc=+/ |{}\"\\\u00e9", k=draw.randint(1, 40)))
        verb = draw.choice(["get", "put", "add", "list", "remove"])
        if verb == "get":
            code, out, _ = driver(store, "get", name)
            assert (code == 0) == (name in model) and (code or out == [model[name]]), (name, out)
        elif verb == "list":
            prefix = draw.choice(["", "wg/", "users/", "users/a/", "none/"])
            code, out, _ = driver(store, "list", prefix)
            assert code == 0 and sorted(out) == sorted(n for n in model if n.startswith(prefix)), (prefix, out)
        elif verb == "remove":
            assert (driver(store, "remove", name)[0] == 0) == (model.pop(name, None) is not None), name
        else:
            accepted = verb == "put" or name not in model
            assert (driver(store, verb, name, value)[0] == 0) == accepted, (verb, name)
            if accepted:
                model[name] = value


def a_directory_does_what_a_dictionary_does():
    compare_with_a_dictionary(f"dir:{WORK}/tree")


def a_parameter_store_does_what_a_dictionary_does():
    compare_with_a_dictionary(SSM)
    assert set(STORE.types.values()) == {"SecureString"}


def a_wrong_secret_is_refused_and_not_shown():
    code, out, err = driver(SSM, "put", "x", "y", env={**KEYS, "AWS_SECRET_ACCESS_KEY": "wrongsecret"})
    assert code == 1 and "InvalidSignatureException" in err and "wrongsecret" not in err + str(out), err


def a_clock_that_is_wrong_is_refused():
    STORE.clock_offset = 1200
    code, _, err = driver(SSM, "put", "x", "y")
    STORE.clock_offset = 0
    assert code == 1 and "InvalidSignatureException" in err, err
    assert driver(SSM, "put", "x", "y")[0] == 0


def a_body_that_was_changed_on_its_way_is_refused():
    STORE.tampers = True
    code, _, err = driver(SSM, "put", "x", "tamper")
    STORE.tampers = False
    assert code == 1 and "InvalidSignatureException" in err, err
    assert driver(SSM, "put", "x", "tamper")[0] == 0


def throttling_and_broken_servers_are_waited_out():
    STORE.failures = [(400, "ThrottlingException"), (503, "x")]
    assert driver(SSM, "get", "x")[1] == ["tamper"]
    STORE.failures, STORE.calls = [(500, "x")] * 9, []
    assert driver(SSM, "get", "x")[0] == 1 and len(STORE.calls) == 4
    STORE.failures, STORE.calls = [(400, "AccessDeniedException")], []
    assert driver(SSM, "get", "x")[0] == 1 and len(STORE.calls) == 1


def a_session_token_is_sent_and_signed():
    STORE.token = "session/token+=="
    assert driver(SSM, "get", "x")[0] == 1
    assert driver(SSM, "get", "x", env={**KEYS, "AWS_SESSION_TOKEN": STORE.token})[0] == 0
    STORE.token = ""


def credentials(hours=1):
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600 * hours))
    return json.dumps(
        {
            "AccessKeyId": parameter_store.ID,
            "SecretAccessKey": parameter_store.SECRET,
            "Token": "role-token",
            "Expiration": end,
        }
    )


def a_container_gets_its_credentials_with_its_token():
    STORE.token, STORE.metadata = "role-token", {("GET", "/c"): ("Authorization", "Basic abc", credentials())}
    env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": STORE.url + "/c"}
    assert driver(SSM, "get", "x", env=env)[0] == 1
    assert driver(SSM, "get", "x", env={**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc"})[0] == 0
    path = WORK / "token"
    path.write_text("Basic abc\n")
    assert driver(SSM, "get", "x", env={**env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path)})[0] == 0
    STORE.token = ""


def a_container_asks_no_stranger_in_clear_text():
    for uri in ["http://192.0.2.1/c", "http://169.254.169.254/c", "http://localhost.example/c", "ftp://127.0.0.1/c"]:
        code, _, err = driver(SSM, "get", "x", env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri})
        assert code == 1 and "loopback" in err, (uri, err)


def an_instance_gets_its_credentials_with_a_token_only():
    base, token = "/latest/meta-data/iam/security-credentials/", ("X-aws-ec2-metadata-token", "imds")
    STORE.token = "role-token"
    STORE.metadata = {
        ("PUT", "/latest/api/token"): ("X-aws-ec2-metadata-token-ttl-seconds", "21600", "imds"),
        ("GET", base): (*token, "vpn-role\n"),
        ("GET", base + "vpn-role"): (*token, credentials()),
    }
    env = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": STORE.url}
    assert driver(SSM, "get", "x", env=env)[0] == 0
    del STORE.metadata[("PUT", "/latest/api/token")]
    code, _, err = driver(SSM, "get", "x", env=env)
    assert code == 1 and "HTTP status 403" in err, err
    STORE.token = ""


def secrets_go_to_no_stranger_in_clear_text():
    code, _, err = driver(SSM, "get", "x", env={**KEYS, "AWS_ENDPOINT_URL_SSM": "http://192.0.2.1/"})
    assert code == 1 and "https" in err, err


# --- culvert keys server ---

CONFIG = json.dumps(
    {
        "ssm_prefix": "/ephem-vpn",
        "key_algorithm": "curve25519",
        "key_purpose": "wireguard-server",
        "regenerate_keys": True,
    },
    indent=2,
)
FIVE = ["private-key", "private-key-b64", "public-key", "public-key-b64", "key-metadata"]


def keys(*args, env=KEYS):
    p = subprocess.run(
        [CULVERT, "keys", "server", "--json", *args], env={**BASE, **env}, capture_output=True, text=True, timeout=60
    )
    return p.returncode, json.loads(p.stdout) if p.returncode == 0 else p.stderr


def tree(root):
    return {str(f.relative_to(root)): f.read_text() for f in root.rglob("*") if f.is_file()}


def config(text):
    path = WORK / "keygen-config.json"
    path.write_text(text)
    return "--config", str(path)


def check_five(values):
    private, private2, public, public2, metadata = (
        values[f"wg/server-{n}"] for n in FIVE
    )
    assert private == private2 and public == public2
    found = subprocess.run([CULVERT, "keys", "pub"], input=private, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == public
    when, *rest = metadata.split("|")
    assert rest == ["curve25519", "wireguard-server"]
    assert abs(calendar.timegm(time.strptime(when, "%Y-%m-%dT%H:%M:%SZ")) - time.time()) < 60
    return public


def server_keys_are_made_when_the_file_changes_only():
    root = WORK / "keys"
    store = ("--store", f"dir:{root}")
    code, first = keys(*store, *config(CONFIG))
    assert code == 0 and first["result"] == "made", first
    assert check_five(tree(root)) == first["public_key"]
    digest = "aa9ae00dc2ab368598108892cf33939059e08534251328f51a29b9d45daafd9c"
    assert tree(root)["wg/keygen-config-sha256"] == digest
    before = tree(root)
    assert keys(*store, *config(CONFIG))[1] == {**first, "result": "unchanged"} and tree(root) == before
    code, second = keys(*store, *config(CONFIG + "\n"))
    assert second["result"] == "made" and check_five(tree(root)) == second["public_key"] != first["public_key"]
    digest = "e11c7396c85bd47d6d901080dddcd33c4758e72d09352b7da52c0e4cc7da39e9"
    assert tree(root)["wg/keygen-config-sha256"] == digest


def keys_that_are_there_stay_when_the_file_says_so():
    root = WORK / "stay"
    store, stays = ("--store", f"dir:{root}"), CONFIG.replace("true", "false")
    code, first = keys(*store, *config(stays))
    assert code == 0 and first["result"] == "made", first
    before = tree(root)
    assert keys(*store, *config(stays + "\n"))[1] == {**first, "result": "recorded"}
    after = tree(root)
    assert after.pop("wg/keygen-config-sha256") != before.pop("wg/keygen-config-sha256") and after == before
    (root / "wg/server-public-key").write_text("A" * 43 + "=")
    code, text = keys(*store, *config(stays))
    assert code == 3 and "no pair" in text, text


def a_run_that_fails_leaves_what_was_there():
    STORE.values.clear()
    STORE.types.clear()
    for second in (False, True):
        if second:
            assert keys(*config(CONFIG))[0] == 0
            assert STORE.types["/ephem-vpn/wg/server-private-key"] == "SecureString"
            assert STORE.types["/ephem-vpn/wg/server-public-key"] == "String"
        before = dict(STORE.values)
        for name in ["server-" + n for n in FIVE] + ["keygen-config-sha256"]:
            STORE.fail_put = name
            code, text = keys(*config(CONFIG + "  "))
            STORE.fail_put = None
            assert code == 4, text
            # The digest cannot be put back where it may not be written: then no digest is there.
            gone = {"/ephem-vpn/wg/keygen-config-sha256"} if second and name.startswith("keygen") else set()
            assert STORE.values == {n: v for n, v in before.items() if n not in gone}, (name, text)
            STORE.values = dict(before)


def the_environment_counts_more_than_the_file():
    STORE.values.clear()
    assert keys(*config(CONFIG), env={**KEYS, "SSM_PREFIX": "/other", "KEY_PURPOSE": "hub"})[0] == 0
    assert STORE.values["/other/wg/server-key-metadata"].endswith("|curve25519|hub")
    assert all(name.startswith("/other/wg/") for name in STORE.values)
    code, text = keys(*config(CONFIG), env={**KEYS, "KEY_ALGORITHM": "rsa"})
    assert code == 3 and "curve25519" in text, text
    for bad in ("", "[]", "{", '{"regenerate_keys":"yes"}', '{"ssm_prefix":"/../x"}', '{"key_purpose":"a|b"}'):
        assert keys(*config(bad))[0] == 3, bad


TESTS = [
    a_directory_does_what_a_dictionary_does,
    a_parameter_store_does_what_a_dictionary_does,
    a_wrong_secret_is_refused_and_not_shown,
    a_clock_that_is_wrong_is_refused,
    a_body_that_was_changed_on_its_way_is_refused,
    throttling_and_broken_servers_are_waited_out,
    a_session_token_is_sent_and_signed,
    a_container_gets_its_credentials_with_its_token,
    a_container_asks_no_stranger_in_clear_text,
    an_instance_gets_its_credentials_with_a_token_only,
    secrets_go_to_no_stranger_in_clear_text,
    server_keys_are_made_when_the_file_changes_only,
    keys_that_are_there_stay_when_the_file_says_so,
    a_run_that_fails_leaves_what_was_there,
    the_environment_counts_more_than_the_file,
]


def main():
    failures = 0
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print(f"ok {number} - {test.__name__}", flush=True)
        except Exception as error:
            failures += 1
            print(f"# {type(error).__name__}: {error!s:.500}\nnot ok {number} - {test.__name__}", flush=True)
    print(f"1..{len(TESTS)}")
    shutil.rmtree(WORK)
    return failures != 0


sys.exit(main())
